namespace Blanket.Machine;

/// <summary>Model-specific registers that the hypervisor itself uses (Intel SDM vol. 4; AMD APM vol. 2).</summary>
public static class Msr
{
    public const uint Efer = 0xc0000080;
    public const uint Star = 0xc0000081;
    public const uint Lstar = 0xc0000082;
    public const uint Cstar = 0xc0000083;
    public const uint SyscallMask = 0xc0000084;
    public const uint FsBase = 0xc0000100;
    public const uint GsBase = 0xc0000101;

    /// <summary>The GS base that SWAPGS brings in: always the one of the guest mode that does not run.</summary>
    public const uint KernelGsBase = 0xc0000102;
    public const uint TscAux = 0xc0000103;
    public const uint ApicBase = 0x1b;
    public const uint SysenterCs = 0x174;
    public const uint SysenterEsp = 0x175;
    public const uint SysenterEip = 0x176;
    public const uint Pat = 0x277;
    public const uint TscDeadline = 0x6e0;
}
