using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Blanket.Abi.Xen;

/// <summary>struct cpu_user_regs of arch-x86/xen-x86_64.h; 200 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct CpuUserRegisters
{
    public ulong R15, R14, R13, R12, Rbp, Rbx, R11, R10, R9, R8, Rax, Rcx, Rdx, Rsi, Rdi;
    public uint ErrorCode;
    public uint EntryVector;
    public ulong Rip;
    public ushort Cs;
    public ushort Padding0;
    public byte SavedUpcallMask;
    public byte Padding1, Padding2, Padding3;
    public ulong Rflags;
    public ulong Rsp;

    /// <summary>Selectors: 16 bits each, the rest is padding.</summary>
    public ulong Ss, Es, Ds, Fs, Gs;
}

/// <summary>struct trap_info (arch-x86/xen.h); 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct TrapInfo
{
    /// <summary>TI_SET_DPL: the bits of <see cref="Flags"/> that hold the privilege level of int n.</summary>
    public const byte PrivilegeMask = 3;

    /// <summary>TI_SET_IF: entering the handler masks events.</summary>
    public const byte MaskEvents = 4;

    public byte Vector;
    public byte Flags;
    public ushort CodeSelector;
    private readonly uint _padding;
    public ulong Address;
}

/// <summary>trap_ctxt[256].</summary>
[InlineArray(Size)]
public struct TrapInfoTable
{
    public const int Size = 256;
    private TrapInfo _first;
}

/// <summary>fpu_ctxt: an FXSAVE image.</summary>
[InlineArray(Size)]
public struct FpuContext
{
    public const int Size = 512;
    private byte _first;
}

/// <summary>gdt_frames[16].</summary>
[InlineArray(Size)]
public struct GdtFrames
{
    public const int Size = 16;
    private ulong _first;
}

/// <summary>ctrlreg[8] and debugreg[8].</summary>
[InlineArray(Size)]
public struct EightRegisters
{
    public const int Size = 8;
    private ulong _first;
}

/// <summary>struct vcpu_guest_context (arch-x86/xen.h), the argument of VCPUOP_initialise; 5,168 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct VcpuGuestContext
{
    /// <summary>VGCF_I387_VALID: <see cref="Fpu"/> holds the vector state.</summary>
    public const ulong FpuValid = 1 << 0;

    /// <summary>VGCF_in_kernel: starts in guest kernel mode.</summary>
    public const ulong InKernel = 1 << 2;

    /// <summary>VGCF_failsafe_disables_events.</summary>
    public const ulong FailsafeMasksEvents = 1 << 3;

    /// <summary>VGCF_syscall_disables_events.</summary>
    public const ulong SyscallMasksEvents = 1 << 4;

    /// <summary>VGCF_online: the vCPU runs at once.</summary>
    public const ulong Online = 1 << 5;

    public FpuContext Fpu;
    public ulong Flags;
    public CpuUserRegisters Registers;
    public TrapInfoTable Traps;
    public ulong LdtBase, LdtEntries;
    public GdtFrames GdtFrames;
    public ulong GdtEntries;
    public ulong KernelStackSegment, KernelStackPointer;

    /// <summary>CR0-CR7; the user-mode root table is in [1], the kernel-mode one in [3], both as xen_pfn_to_cr3.</summary>
    public EightRegisters ControlRegisters;
    public EightRegisters DebugRegisters;
    public ulong EventCallback, FailsafeCallback, SyscallCallback;

    /// <summary>VMASST_TYPE_* bitmap, taken from vCPU 0 only.</summary>
    public ulong VmAssist;
    public ulong FsBase, GsBaseKernel, GsBaseUser;
}
