// What pycuda links and edgerd does not use: textures, arrays, IPC, the launch calls of CUDA 3. Each answers
// CUDA_ERROR_NOT_SUPPORTED. They are declared here without cuda.h, whose prototypes differ.
#define UNSUPPORTED(name)  \
    extern "C" int name(); \
    int name() { return 801; }

UNSUPPORTED(cuArray3DCreate_v2) UNSUPPORTED(cuArray3DGetDescriptor_v2) UNSUPPORTED(cuArrayCreate_v2)
UNSUPPORTED(cuArrayDestroy) UNSUPPORTED(cuArrayGetDescriptor_v2) UNSUPPORTED(cuCtxDisablePeerAccess)
UNSUPPORTED(cuCtxEnablePeerAccess) UNSUPPORTED(cuCtxGetCacheConfig) UNSUPPORTED(cuCtxGetLimit)
UNSUPPORTED(cuCtxGetSharedMemConfig) UNSUPPORTED(cuCtxSetCacheConfig) UNSUPPORTED(cuCtxSetLimit)
UNSUPPORTED(cuCtxSetSharedMemConfig) UNSUPPORTED(cuDeviceCanAccessPeer) 
 UNSUPPORTED(cuIpcCloseMemHandle) UNSUPPORTED(cuIpcGetEventHandle)
UNSUPPORTED(cuIpcGetMemHandle) UNSUPPORTED(cuIpcOpenEventHandle) UNSUPPORTED(cuIpcOpenMemHandle_v2)
UNSUPPORTED(cuLaunch) UNSUPPORTED(cuLaunchGrid) UNSUPPORTED(cuLaunchGridAsync) UNSUPPORTED(cuLinkAddData_v2)
UNSUPPORTED(cuLinkAddFile_v2) UNSUPPORTED(cuLinkComplete) UNSUPPORTED(cuLinkCreate_v2) UNSUPPORTED(cuLinkDestroy)
UNSUPPORTED(cuMemAllocManaged) UNSUPPORTED(cuMemAllocPitch_v2) UNSUPPORTED(cuMemcpy3DAsync_v2)
UNSUPPORTED(cuMemcpy3DPeer) UNSUPPORTED(cuMemcpy3DPeerAsync) UNSUPPORTED(cuMemcpy3D_v2)
UNSUPPORTED(cuMemcpyAtoA_v2) UNSUPPORTED(cuMemcpyAtoD_v2) UNSUPPORTED(cuMemcpyAtoH_v2)
UNSUPPORTED(cuMemcpyDtoA_v2) UNSUPPORTED(cuMemcpyHtoA_v2) UNSUPPORTED(cuMemcpyPeer) UNSUPPORTED(cuMemcpyPeerAsync)
UNSUPPORTED(cuMemsetD16Async) UNSUPPORTED(cuMemsetD16_v2) UNSUPPORTED(cuMemsetD2D16Async)
UNSUPPORTED(cuMemsetD2D16_v2) UNSUPPORTED(cuMemsetD2D32Async) UNSUPPORTED(cuMemsetD2D32_v2)
UNSUPPORTED(cuMemsetD2D8Async) UNSUPPORTED(cuMemsetD2D8_v2) UNSUPPORTED(cuModuleGetSurfRef)
UNSUPPORTED(cuModuleGetTexRef) UNSUPPORTED(cuParamSetSize) UNSUPPORTED(cuParamSetTexRef) UNSUPPORTED(cuParamSetf)
UNSUPPORTED(cuParamSeti) UNSUPPORTED(cuParamSetv) UNSUPPORTED(cuProfilerInitialize)
UNSUPPORTED(cuStreamAttachMemAsync) UNSUPPORTED(cuSurfRefGetArray) UNSUPPORTED(cuSurfRefSetArray)
UNSUPPORTED(cuTexRefCreate) UNSUPPORTED(cuTexRefDestroy) UNSUPPORTED(cuTexRefGetAddressMode)
UNSUPPORTED(cuTexRefGetAddress_v2) UNSUPPORTED(cuTexRefGetArray) UNSUPPORTED(cuTexRefGetFilterMode)
UNSUPPORTED(cuTexRefGetFlags) UNSUPPORTED(cuTexRefGetFormat) UNSUPPORTED(cuTexRefSetAddress2D_v3)
UNSUPPORTED(cuTexRefSetAddressMode) UNSUPPORTED(cuTexRefSetAddress_v2) UNSUPPORTED(cuTexRefSetArray)
UNSUPPORTED(cuTexRefSetFilterMode) UNSUPPORTED(cuTexRefSetFlags) UNSUPPORTED(cuTexRefSetFormat)
