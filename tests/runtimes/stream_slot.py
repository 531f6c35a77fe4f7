"""Work of an engine on a stream."""

import numpy as np
from runtime_graphs import HEIGHT, WIDTH


class Slot:
    """Buffers of one run, and what copies to and from them."""

    def __init__(self, memory, batch):
        self.frame = memory.frame(batch * HEIGHT * WIDTH * 3)
        self.score = memory.result((batch,), np.float32)
        self.map = memory.result((batch, HEIGHT, WIDTH), np.float32)

    @property
    def addresses(self):
        return self.frame.address, self.score.address, self.map.address

    def around(self, stream, enqueue):
        def work():
            self.frame.upload(stream)
            enqueue(stream)
            self.score.download(stream)
            self.map.download(stream)

        return work
