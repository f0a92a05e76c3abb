namespace Blanket.Abi.Xen;

/// <summary>Virtual interrupts (VIRQ_* of xen/include/public/xen.h).</summary>
public static class Virq
{
    public const uint Timer = 0;
    public const uint Debug = 1;
    public const uint Console = 2;
    public const uint DomainException = 3;
    public const uint TraceBuffer = 4;
    public const uint Debugger = 6;
    public const uint XenOprofile = 7;
    public const uint ConsoleRing = 8;
    public const uint PhysicalCpuState = 9;
    public const uint MemoryEvent = 10;
    public const uint Argo = 11;
    public const uint NoMemory = 12;
    public const uint PerformanceMonitor = 13;
    public const uint Architecture0 = 16;

    /// <summary>NR_VIRQS.</summary>
    public const uint Count = 24;

    /// <summary>Whether a domain has one of it, bound through vCPU 0, rather than one a vCPU.</summary>
    public static bool IsGlobal(uint virq) =>
        virq != Timer && virq != Debug && virq != XenOprofile && virq != PerformanceMonitor;
}
