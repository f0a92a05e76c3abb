using System.Runtime.InteropServices;

namespace Blanket.Abi.Xen;

/// <summary>struct xen_pod_target (xen/include/public/memory.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct MemoryPodTarget
{
    public ulong TargetPages;
    public ulong TotalPages;
    public ulong CachePages;
    public ulong PodEntries;
    public ushort DomainId;
    private readonly ushort _padding0;
    private readonly uint _padding1;
}
