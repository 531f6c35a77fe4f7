// Raw frames -> tiles at the graph's size, uint8 (N, H, W, 3) BGR: edgerd/data/preprocess.py, on the GPU.
//
// That module says what is computed; here is how. Nothing is included, so that NVRTC compiles it as it is.
//
// Kernels. One per way to resize and pixel format: `area_*` where both sides shrink, `linear_*` for everything else.
// An `area_*_unaligned` takes frames whose address or pitch is not a multiple of 16 bytes. All take one `Preprocess`.
// edgerd/cuda/kernels/plan.py picks the kernel, its grid and its parameters.
//
// area. Bound by memory: every byte of the source is read once, 16 (BGR, grey) or 8 and 8 (YUV) bytes per thread and
// load, and all computation should take place while loads are under way. A block makes one row of output pixels, or a segment of it
// whose source bytes its 128 threads cover in one stride. Which source pixels an output pixel covers, and how far, comes
// from a table made on the host: divisions here would cost as much as a row of the source.
//   1. `sum_rows`: a thread owns one chunk of neighbouring bytes and adds them up over the rows of the source that the
//      output row covers. Rows that are covered in full all weigh the same, so their bytes are added two at a time as
//      the 16-bit halves of a word: one instruction per byte, and no conversion to float, which would cost more than
//      the loads. The first and the last row, covered in part, are kept as they are and weighed at the end, both in one
//      instruction per byte. Several rows are loaded before the first of them is used. Only the boundary row of two
//      output rows is read twice, the second time from the L2 cache.
//   2. `average_columns`: the sums lie in shared memory, padded so that 16-byte stores of 16 columns per thread meet no
//      bank twice (of 24: twice, where the conversion from YUV costs far more). A thread adds up those of one output
//      value and divides.
// Weights are whole numbers: with the frame's side over the graph's reduced to span/parts, output i covers the source
// from i span/parts to (i + 1) span/parts, and a pixel weighs the number of parts of it that are covered. So all sums
// are exact up to the last three products. Largest values: at most 255 rows are covered in full, so their sums fit 16
// bits; a sum of rows is at most 255 span.
//
// linear. Bound by what it writes: a thread per output pixel reads its four neighbours and computes with the 11-bit
// weights and the shifts of OpenCV's INTER_LINEAR; neighbours and weights come from the host's table.
//
// Padding (aspect `letterbox`): the block of each output row that makes its first columns writes the padding, left and
// right of the picture, or all of a row above or below it. A pixel of the picture that came to have the padding's colour
// is made one grey level bluer afterwards. Without padding, `padding` is negative and both are left out.
//
// YUV pixels become BGR before they are averaged, with OpenCV's 10-bit weights, because clipping is not linear.
//
// Mapped host memory (integrated GPUs) is a source like any other: it is not cached there, another reason to read each
// byte once.
//
// Host execution. A block of a function without a barrier can run as a loop over its threads. EACH_THREAD is that loop in
// a host build (tests/emulation/native/cuda_host.h) and empty here. Code outside of it is the same for all threads of a
// block.

#ifndef EACH_THREAD
#define EACH_THREAD
#endif

constexpr int kThreads = 128;

struct __align__(16) Tap {  // the source pixels of an output pixel along an axis
    int first, last;
    int first_weight, last_weight;  // area: parts covered; linear: in 1/2048, and there is nothing between the two
};

struct Preprocess {
    const unsigned char* source;
    unsigned char* tiles;
    const Tap* taps;  // `width` for the columns, then `height` for the rows
    long long frame_stride;  // bytes from one camera's frame to the next one's
    int pitch, frame_height;  // bytes from row to row; rows of the picture, behind which NV12 has its chroma
    int left, top, region_width, region_height;
    int rows, columns, tile_width, tile_height;
    int width, height;  // of a tile in the graph, without padding
    int row_parts, column_parts;  // of a source pixel; area only
    int graph_width, graph_height, inside_left, inside_top;  // the graph's input, and where the tile lies in it
    int padding;  // its colour, blue in the lowest byte; negative where there is none
    int segment;  // output columns per block; area only
    int half_up;  // OpenCV rounds halves up where it averages 2x2, else to even
    float scale;  // 1 / (row span * column span)
    int luma, blue_u, green_u, green_v, red_v;  // in 1/1024
    int blue, green, red;  // constant part, with the half for rounding
};

static_assert(sizeof(Tap) == 16 && sizeof(Preprocess) == 152, "edgerd/cuda/kernels/plan.py writes these");

// ---- Pixel formats: how a chunk is loaded, what columns of a BGR (or grey) row it becomes, and a single pixel.

template <int kWords>
struct Words {
    unsigned word[kWords];
};

template <bool kAligned, int kWords>
__device__ inline Words<kWords> load(const unsigned char* address) {
    static_assert(kWords == 2 || kWords == 4, "8 or 16 bytes");
    Words<kWords> loaded;
    if constexpr (kAligned && kWords == 4) {
        const uint4 vector = __ldg(reinterpret_cast<const uint4*>(address));
        loaded = {vector.x, vector.y, vector.z, vector.w};
    } else if constexpr (kAligned) {
        const uint2 vector = __ldg(reinterpret_cast<const uint2*>(address));
        loaded = {vector.x, vector.y};
    } else {
        const auto offset = static_cast<unsigned>(reinterpret_cast<unsigned long long>(address) & 3);
        const auto* words = reinterpret_cast<const unsigned*>(address - offset);
        unsigned low = __ldg(words);
#pragma unroll
        for (int i = 0; i < kWords; ++i) {
            const unsigned high = __ldg(words + i + 1);
            loaded.word[i] = __funnelshift_r(low, high, 8 * offset);
            low = high;
        }
    }
    return loaded;
}

template <int kWords>
__device__ inline int byte_of(const Words<kWords>& words, int i) {
    return static_cast<int>(words.word[i / 4] >> (8 * (i % 4)) & 0xff);
}

template <int kWords>
struct Halves {  // four columns per word: the even two, and the odd two, as 16-bit numbers
    unsigned even[kWords], odd[kWords];
};

__device__ inline Halves<4> halves_of(const Words<4>& words) {
    Halves<4> halves;
#pragma unroll
    for (int w = 0; w < 4; ++w) {
        halves.even[w] = __byte_perm(words.word[w], 0, 0x4240);
        halves.odd[w] = __byte_perm(words.word[w], 0, 0x4341);
    }
    return halves;
}

struct Pixel {
    int channel[3];  // B, G, R
};

__device__ inline int clip(int value) { return min(max(value >> 10, 0), 255); }

__device__ inline Pixel bgr_from_yuv(const Preprocess& p, int y, int u, int v) {
    y *= p.luma;
    return {{clip(y + p.blue_u * u + p.blue), clip(y + p.green_u * u + p.green_v * v + p.green),
             clip(y + p.red_v * v + p.red)}};
}

template <bool kAligned>
struct Bgr {
    static constexpr int kChannels = 3, kColumns = 16, kRowsInFlight = 4;
    using Raw = Words<4>;
    __device__ static Raw load_chunk(const Preprocess& p, const unsigned char* frame, int y, int chunk) {
        return load<kAligned, 4>(frame + static_cast<long long>(y) * p.pitch + 16 * chunk);
    }
    __device__ static Halves<4> columns(const Preprocess&, const Raw& raw) { return halves_of(raw); }
    __device__ static Pixel pixel(const Preprocess& p, const unsigned char* frame, int y, int x) {
        const unsigned char* at = frame + static_cast<long long>(y) * p.pitch + 3 * x;
        return {{at[0], at[1], at[2]}};
    }
};

template <bool kAligned>
struct Grey {
    static constexpr int kChannels = 1, kColumns = 16, kRowsInFlight = 4;
    using Raw = Words<4>;
    __device__ static Raw load_chunk(const Preprocess& p, const unsigned char* frame, int y, int chunk) {
        return load<kAligned, 4>(frame + static_cast<long long>(y) * p.pitch + 16 * chunk);
    }
    __device__ static Halves<4> columns(const Preprocess&, const Raw& raw) { return halves_of(raw); }
    __device__ static Pixel pixel(const Preprocess& p, const unsigned char* frame, int y, int x) {
        const int value = frame[static_cast<long long>(y) * p.pitch + x];
        return {{value, value, value}};
    }
};

struct Yuv8 {  // eight pixels: Y0 .. Y7, and U V U V ... for their pairs
    Words<2> luma, chroma;
};

__device__ inline Halves<6> bgr_columns(const Preprocess& p, const Yuv8& raw) {
    Halves<6> columns = {};
#pragma unroll
    for (int x = 0; x < 8; ++x) {
        const int pair = x / 2 * 2;
        const Pixel pixel = bgr_from_yuv(p, byte_of(raw.luma, x), byte_of(raw.chroma, pair), byte_of(raw.chroma, pair + 1));
#pragma unroll
        for (int channel = 0; channel < 3; ++channel) {
            const int column = 3 * x + channel;
            unsigned& halves = column % 2 ? columns.odd[column / 4] : columns.even[column / 4];
            halves += static_cast<unsigned>(pixel.channel[channel]) << (column % 4 / 2 * 16);
        }
    }
    return columns;
}

template <bool kAligned>
struct Nv12 {
    static constexpr int kChannels = 3, kColumns = 24, kRowsInFlight = 2;
    using Raw = Yuv8;
    __device__ static Raw load_chunk(const Preprocess& p, const unsigned char* frame, int y, int chunk) {
        const unsigned char* chroma = frame + static_cast<long long>(p.frame_height + y / 2) * p.pitch;
        return {load<kAligned, 2>(frame + static_cast<long long>(y) * p.pitch + 8 * chunk),
                load<kAligned, 2>(chroma + 8 * chunk)};
    }
    __device__ static Halves<6> columns(const Preprocess& p, const Raw& raw) { return bgr_columns(p, raw); }
    __device__ static Pixel pixel(const Preprocess& p, const unsigned char* frame, int y, int x) {
        const unsigned char* chroma = frame + static_cast<long long>(p.frame_height + y / 2) * p.pitch + x / 2 * 2;
        return bgr_from_yuv(p, frame[static_cast<long long>(y) * p.pitch + x], chroma[0], chroma[1]);
    }
};

template <bool kAligned>
struct Yuyv {
    static constexpr int kChannels = 3, kColumns = 24, kRowsInFlight = 2;
    using Raw = Words<4>;
    __device__ static Raw load_chunk(const Preprocess& p, const unsigned char* frame, int y, int chunk) {
        return load<kAligned, 4>(frame + static_cast<long long>(y) * p.pitch + 16 * chunk);
    }
    __device__ static Halves<6> columns(const Preprocess& p, const Raw& raw) {
        const auto& w = raw.word;
        return bgr_columns(p, {{__byte_perm(w[0], w[1], 0x6420), __byte_perm(w[2], w[3], 0x6420)},
                               {__byte_perm(w[0], w[1], 0x7531), __byte_perm(w[2], w[3], 0x7531)}});
    }
    __device__ static Pixel pixel(const Preprocess& p, const unsigned char* frame, int y, int x) {
        const unsigned char* pair = frame + static_cast<long long>(y) * p.pitch + x / 2 * 4;
        return bgr_from_yuv(p, pair[x % 2 * 2], pair[1], pair[3]);
    }
};

// ---- Where a block works: image blockIdx.z is a tile of a camera's frame, blockIdx.y a row of the graph's input.

struct Tile {
    const unsigned char* frame;
    int left, top;
    int row;  // output row of the tile; below 0, or `height` and more, where the row is padding
    unsigned char* output_row;  // where the tile begins in it
};

__device__ inline Tile tile_of_block(const Preprocess& p) {
    const int image = static_cast<int>(blockIdx.z), tiles = p.rows * p.columns;
    const int output = static_cast<int>(blockIdx.y) - p.inside_top;
    unsigned char* output_row =
        p.tiles + ((static_cast<long long>(image) * p.graph_height + blockIdx.y) * p.graph_width + p.inside_left) * 3;
    if (tiles == 1) {  // the usual case, without divisions
        return {p.source + image * p.frame_stride, p.left, p.top, output, output_row};
    }
    const int row = image % tiles / p.columns, column = image % p.columns;
    return {p.source + image / tiles * p.frame_stride,
            p.left + column * (p.region_width - p.tile_width) / max(p.columns - 1, 1),
            p.top + row * (p.region_height - p.tile_height) / max(p.rows - 1, 1), output, output_row};
}

// ---- Padding

__device__ inline bool is_padding(const Preprocess& p, const Tile& tile) { return tile.row < 0 || tile.row >= p.height; }

__device__ inline void pad_row(const Preprocess& p, const Tile& tile) {
    const bool whole_row = is_padding(p, tile);
    for (int column = static_cast<int>(threadIdx.x); column < p.graph_width; column += kThreads) {
        const int x = column - p.inside_left;
        if (whole_row || x < 0 || x >= p.width) {
#pragma unroll
            for (int c = 0; c < 3; ++c) {
                tile.output_row[3 * x + c] = static_cast<unsigned char>(p.padding >> (8 * c) & 0xff);
            }
        }
    }
}

__device__ inline void keep_from_padding(const Preprocess& p, unsigned char* pixel) {
    if ((pixel[0] | pixel[1] << 8 | pixel[2] << 16) == p.padding) {
        pixel[0] = static_cast<unsigned char>(pixel[0] + 1);
    }
}

struct Segment {  // output columns of a block, and the chunks of a source row that they need
    int begin, end;
    int first_chunk, chunks;
};

template <class Format>
__device__ inline Segment segment_of_block(const Preprocess& p, int left) {
    const int begin = static_cast<int>(blockIdx.x) * p.segment, end = min(begin + p.segment, p.width);
    const unsigned first_column = (left + p.taps[begin].first) * Format::kChannels;
    const unsigned end_column = (left + p.taps[end - 1].last + 1) * Format::kChannels;
    const unsigned first_chunk = first_column / Format::kColumns;
    return {begin, end, static_cast<int>(first_chunk),
            static_cast<int>((end_column - 1) / Format::kColumns - first_chunk + 1)};
}

// ---- area

__device__ constexpr unsigned padded(unsigned column) { return column + column / 32 * 4; }

template <class Format, int kRows, class Sums>
__device__ __forceinline__ void add_rows(const Preprocess& p, const Tile& tile, int row, int rows, int chunk, Sums& sums) {
    typename Format::Raw raw[kRows] = {};
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
        if (i < rows) {
            raw[i] = Format::load_chunk(p, tile.frame, tile.top + row + i, chunk);
        }
    }
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
        if (i < rows) {
            const auto columns = Format::columns(p, raw[i]);
#pragma unroll
            for (int w = 0; w < Format::kColumns / 4; ++w) {
                sums.even[w] += columns.even[w];
                sums.odd[w] += columns.odd[w];
            }
        }
    }
}

template <class Format>
__device__ inline void sum_rows(const Preprocess& p, const Tile& tile, const Segment& segment, unsigned* sums) {
    const int thread = static_cast<int>(threadIdx.x), chunk = segment.first_chunk + thread;
    if (thread >= segment.chunks) {
        return;
    }
    const Tap rows = p.taps[p.width + tile.row];
    const auto raw_first = Format::load_chunk(p, tile.frame, tile.top + rows.first, chunk);
    const auto raw_last = Format::load_chunk(p, tile.frame, tile.top + rows.last, chunk);
    Halves<Format::kColumns / 4> between = {};
    int row = rows.first + 1;
#pragma unroll 1
    for (; row + Format::kRowsInFlight <= rows.last; row += Format::kRowsInFlight) {
        add_rows<Format, Format::kRowsInFlight>(p, tile, row, Format::kRowsInFlight, chunk, between);
    }
    add_rows<Format, Format::kRowsInFlight - 1>(p, tile, row, rows.last - row, chunk, between);
    const auto first = Format::columns(p, raw_first), last = Format::columns(p, raw_last);
    const unsigned weights = rows.first_weight | rows.last_weight << 16, parts = p.row_parts;
#pragma unroll
    for (int w = 0; w < Format::kColumns / 4; ++w) {
        const unsigned even = first.even[w] | last.even[w] << 8, odd = first.odd[w] | last.odd[w] << 8;
        *reinterpret_cast<uint4*>(sums + padded(thread * Format::kColumns + 4 * w)) = {
            __dp2a_lo(weights, even, (between.even[w] & 0xffff) * parts),
            __dp2a_lo(weights, odd, (between.odd[w] & 0xffff) * parts),
            __dp2a_hi(weights, even, (between.even[w] >> 16) * parts),
            __dp2a_hi(weights, odd, (between.odd[w] >> 16) * parts),
        };
    }
}

template <class Format>
__device__ inline void average_columns(const Preprocess& p, const Tile& tile, const Segment& segment,
                                       const unsigned* sums) {
    for (int value = 3 * segment.begin + static_cast<int>(threadIdx.x); value < 3 * segment.end; value += kThreads) {
        const Tap columns = p.taps[value / 3];
        const int channel = Format::kChannels == 3 ? value % 3 : 0;
        const int origin = tile.left * Format::kChannels + channel - segment.first_chunk * Format::kColumns;
        const unsigned first = origin + columns.first * Format::kChannels;
        const unsigned last = origin + columns.last * Format::kChannels;
        unsigned between = 0;
        for (unsigned column = first + Format::kChannels; column < last; column += Format::kChannels) {
            between += sums[padded(column)];
        }
        const float sum = static_cast<float>(sums[padded(first)]) * static_cast<float>(columns.first_weight) +
                          static_cast<float>(sums[padded(last)]) * static_cast<float>(columns.last_weight) +
                          static_cast<float>(between) * static_cast<float>(p.column_parts);
        const float mean = sum * p.scale;
        const int rounded = p.half_up ? static_cast<int>(mean + 0.5f) : __float2int_rn(mean);
        tile.output_row[value] = static_cast<unsigned char>(rounded);
    }
}

__device__ inline void keep_segment_from_padding(const Preprocess& p, const Tile& tile, const Segment& segment) {
    for (int x = segment.begin + static_cast<int>(threadIdx.x); x < segment.end; x += kThreads) {
        keep_from_padding(p, tile.output_row + 3 * x);
    }
}

template <class Format>
__device__ inline void area(const Preprocess& p) {
    __shared__ __align__(16) unsigned sums[padded(kThreads * Format::kColumns)];
    const Tile tile = tile_of_block(p);
    if (p.padding >= 0 && blockIdx.x == 0) {
        EACH_THREAD pad_row(p, tile);
    }
    if (is_padding(p, tile)) {
        return;
    }
    const Segment segment = segment_of_block<Format>(p, tile.left);
    EACH_THREAD sum_rows<Format>(p, tile, segment, sums);
    __syncthreads();
    EACH_THREAD average_columns<Format>(p, tile, segment, sums);
    if (p.padding >= 0) {
        __syncthreads();  // a pixel's three values were made by three threads
        EACH_THREAD keep_segment_from_padding(p, tile, segment);
    }
}

// ---- linear

template <class Format>
__device__ inline void interpolate(const Preprocess& p, const Tile& tile) {
    const int x = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
    if (x >= p.width) {
        return;
    }
    const Tap column = p.taps[x], row = p.taps[p.width + tile.row];
    const int left = tile.left + column.first, right = tile.left + column.last;
    const Pixel top_left = Format::pixel(p, tile.frame, tile.top + row.first, left);
    const Pixel top_right = Format::pixel(p, tile.frame, tile.top + row.first, right);
    const Pixel bottom_left = Format::pixel(p, tile.frame, tile.top + row.last, left);
    const Pixel bottom_right = Format::pixel(p, tile.frame, tile.top + row.last, right);
#pragma unroll
    for (int c = 0; c < 3; ++c) {
        const int top = top_left.channel[c] * column.first_weight + top_right.channel[c] * column.last_weight;
        const int bottom = bottom_left.channel[c] * column.first_weight + bottom_right.channel[c] * column.last_weight;
        const int sum = (row.first_weight * (top >> 4) >> 16) + (row.last_weight * (bottom >> 4) >> 16);
        tile.output_row[3 * x + c] = static_cast<unsigned char>((sum + 2) >> 2);
    }
    if (p.padding >= 0) {
        keep_from_padding(p, tile.output_row + 3 * x);
    }
}

template <class Format>
__device__ inline void linear(const Preprocess& p) {
    const Tile tile = tile_of_block(p);
    if (p.padding >= 0 && blockIdx.x == 0) {
        EACH_THREAD pad_row(p, tile);
    }
    if (is_padding(p, tile)) {
        return;
    }
    EACH_THREAD interpolate<Format>(p, tile);
}

// ---- The kernels

#define KERNEL extern "C" __global__ void __launch_bounds__(kThreads)

KERNEL area_bgr(const Preprocess p) { area<Bgr<true>>(p); }
KERNEL area_bgr_unaligned(const Preprocess p) { area<Bgr<false>>(p); }
KERNEL linear_bgr(const Preprocess p) { linear<Bgr<true>>(p); }
KERNEL area_grey(const Preprocess p) { area<Grey<true>>(p); }
KERNEL area_grey_unaligned(const Preprocess p) { area<Grey<false>>(p); }
KERNEL linear_grey(const Preprocess p) { linear<Grey<true>>(p); }
KERNEL area_nv12(const Preprocess p) { area<Nv12<true>>(p); }
KERNEL area_nv12_unaligned(const Preprocess p) { area<Nv12<false>>(p); }
KERNEL linear_nv12(const Preprocess p) { linear<Nv12<true>>(p); }
KERNEL area_yuyv(const Preprocess p) { area<Yuyv<true>>(p); }
KERNEL area_yuyv_unaligned(const Preprocess p) { area<Yuyv<false>>(p); }
KERNEL linear_yuyv(const Preprocess p) { linear<Yuyv<true>>(p); }
