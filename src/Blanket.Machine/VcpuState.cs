using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;

namespace Blanket.Machine;

/// <summary>Registers of a guest as entry code saves them; the order is struct cpu_user_regs of arch-x86/xen-x86_64.h up to ss.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct GuestRegisters
{
    public ulong R15, R14, R13, R12, Rbp, Rbx, R11, R10, R9, R8, Rax, Rcx, Rdx, Rsi, Rdi;

    /// <summary>Error code of the exception, 0 where there is none.</summary>
    public uint ErrorCode;

    /// <summary>Vector of the exception or interrupt, or <see cref="SyscallEntry"/>.</summary>
    public uint EntryVector;
    public ulong Rip;
    public ushort Cs;
    public ushort Padding0;

    /// <summary>Event mask at the time of the entry, for guests.</summary>
    public byte SavedUpcallMask;
    public byte Padding1, Padding2, Padding3;
    public ulong Rflags;
    public ulong Rsp;
    public ulong Ss;

    /// <summary><see cref="EntryVector"/> of a SYSCALL instruction.</summary>
    public const uint SyscallEntry = 0x100;
}

/// <summary>A guest's handler of one exception (struct trap_info of arch-x86/xen.h).</summary>
[StructLayout(LayoutKind.Sequential, Size = 16)]
public struct GuestTrap
{
    /// <summary>Handler's address; 0 for none.</summary>
    public ulong Address;

    /// <summary>Handler's code selector.</summary>
    public ushort CodeSelector;

    /// <summary>Bits 0-1: privilege level that int n needs; bit 2: event delivery is masked on entry.</summary>
    public byte Flags;
}

/// <summary>
/// The part of a vCPU that entry code works on: 4 frames in a row in the direct map. The CPU pushes exception frames of the
/// guest straight into <see cref="Registers"/> (TSS.rsp0 points at their end). Offsets are shared with Assembly/layout.inc.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = 4096 * 4)]
public unsafe struct VcpuState
{
    /// <summary>log2 of its size in frames.</summary>
    public const int Order = 2;

    /// <summary>Offset of <see cref="Registers"/>.</summary>
    public const int RegistersOffset = 0x108;

    /// <summary>Where TSS.rsp0 points while this vCPU runs, from the start of the state.</summary>
    public const int RegistersEnd = 0x1b0;

    /// <summary>Offset of the XSAVE area, 8 KiB.</summary>
    public const int ExtendedStateOffset = 0x2000;

    /// <summary>The CPU that it runs on or ran on last.</summary>
    [FieldOffset(0x00)]
    public CpuBlock* Cpu;

    /// <summary>CR3 of guest kernel mode.</summary>
    [FieldOffset(0x08)]
    public ulong KernelCr3;

    /// <summary>CR3 of guest user mode; 0 while the guest has set none.</summary>
    [FieldOffset(0x10)]
    public ulong UserCr3;

    /// <summary>Linear address (direct map) of its struct vcpu_info.</summary>
    [FieldOffset(0x18)]
    public byte* VcpuInfo;

    /// <summary>Guest kernel stack for entries from guest user mode (HYPERVISOR_stack_switch).</summary>
    [FieldOffset(0x20)]
    public ulong KernelStackPointer;

    /// <summary>Its stack selector.</summary>
    [FieldOffset(0x28)]
    public ulong KernelStackSegment;

    /// <summary>CALLBACKTYPE_syscall (callback.h); 0 for none.</summary>
    [FieldOffset(0x30)]
    public ulong SyscallCallback;

    /// <summary>CALLBACKTYPE_event; 0 for none.</summary>
    [FieldOffset(0x38)]
    public ulong EventCallback;

    /// <summary>CALLBACKTYPE_failsafe; 0 for none.</summary>
    [FieldOffset(0x40)]
    public ulong FailsafeCallback;

    /// <summary>CALLBACKTYPE_syscall32.</summary>
    [FieldOffset(0x48)]
    public ulong Syscall32Callback;

    /// <summary>CALLBACKTYPE_sysenter.</summary>
    [FieldOffset(0x50)]
    public ulong SysenterCallback;

    /// <summary>CALLBACKTYPE_nmi.</summary>
    [FieldOffset(0x58)]
    public ulong NmiCallback;

    /// <summary>1 in guest kernel mode, 0 in guest user mode.</summary>
    [FieldOffset(0x60)]
    public byte InKernel;

    /// <summary>1: the syscall callback is entered with events masked (VGCF_syscall_disables_events).</summary>
    [FieldOffset(0x61)]
    public byte SyscallMasksEvents;

    /// <summary>1: the failsafe callback is entered with events masked (VGCF_failsafe_disables_events).</summary>
    [FieldOffset(0x62)]
    public byte FailsafeMasksEvents;

    /// <summary>1: return by IRET with all registers, not by SYSRET.</summary>
    [FieldOffset(0x63)]
    public byte MustUseIret;

    /// <summary>1: the 32-bit syscall callback masks events.</summary>
    [FieldOffset(0x64)]
    public byte Syscall32MasksEvents;

    /// <summary>1: the sysenter callback masks events.</summary>
    [FieldOffset(0x65)]
    public byte SysenterMasksEvents;

    /// <summary>1: the guest has set its TS bit (HYPERVISOR_fpu_taskswitch): the next vector instruction is #NM.</summary>
    [FieldOffset(0x66)]
    public byte TaskSwitched;

    /// <summary>Bit 0 is set when the guest kernel may use ports at its own I/O privilege level (physdev_set_iopl, vm_assist).</summary>
    [FieldOffset(0x67)]
    public byte IoPrivilegeLevel;

    /// <summary>CR2 as the guest sees it, also in arch.cr2 of its vcpu_info.</summary>
    [FieldOffset(0x68)]
    public ulong Cr2;

    /// <summary>Data segment selectors and bases while the vCPU does not run.</summary>
    [FieldOffset(0x70)]
    public ushort Ds;
    [FieldOffset(0x72)]
    public ushort Es;
    [FieldOffset(0x74)]
    public ushort Fs;
    [FieldOffset(0x76)]
    public ushort Gs;
    [FieldOffset(0x78)]
    public ulong FsBase;

    /// <summary>GS base of guest kernel mode while the vCPU does not run (SEGBASE_GS_KERNEL).</summary>
    [FieldOffset(0x80)]
    public ulong GsBaseKernel;

    /// <summary>GS base of guest user mode while the vCPU does not run (SEGBASE_GS_USER).</summary>
    [FieldOffset(0x88)]
    public ulong GsBaseUser;

    /// <summary>The vCPU object of Blanket.Core, for C# (a reference, kept as its address).</summary>
    [FieldOffset(0x90)]
    public ulong Owner;

    /// <summary>XCR0 while the vCPU runs; 0 for all of <see cref="CpuSetup.ExtendedComponents"/>. Changed by <see cref="ExtendedControl"/>.</summary>
    [FieldOffset(0x98)]
    public ulong ExtendedComponents;

    /// <summary>
    /// 1: the guest's run-state area could not be written yet because the guest was in user mode; then its kernel is entered by C# only.
    /// </summary>
    [FieldOffset(0xa0)]
    public byte RunStateIsStale;

    /// <summary>Registers at the last entry from the guest; what is here at the exit is what the guest goes on with.</summary>
    [FieldOffset(RegistersOffset)]
    public GuestRegisters Registers;

    /// <summary>The guest's xmm0 and xmm8 (16 bytes each at 16 times their number) while C# runs: compiled code uses these two.</summary>
    [FieldOffset(0x1c0)]
    public fixed byte Xmm[256];

    /// <summary>Debug registers DR0-DR3, DR6, DR7.</summary>
    [FieldOffset(0x2c0)]
    public fixed ulong DebugRegisters[8];

    /// <summary>Second frame: the guest's exception handlers by vector (HYPERVISOR_set_trap_table).</summary>
    [FieldOffset(0x1000)]
    private GuestTrap _firstTrap;

    /// <summary>The guest's event mask, in its vcpu_info (evtchn_upcall_mask; xen/include/public/xen.h). Any non-zero value masks.</summary>
    public readonly byte UpcallMask
    {
        get => Volatile.Read(ref VcpuInfo[1]);
        set => Volatile.Write(ref VcpuInfo[1], value);
    }

    /// <summary>Whether it has no vcpu_info yet.</summary>
    public readonly bool VcpuInfoIsMissing => VcpuInfo == null;

    /// <summary>Whether an event waits (evtchn_upcall_pending).</summary>
    public readonly bool IsUpcallPending => Volatile.Read(ref VcpuInfo[0]) != 0;

    /// <summary>Whether the guest is to be entered at its event callback before it goes on.</summary>
    public readonly bool HasUnmaskedEvent => IsUpcallPending && UpcallMask == 0;

    /// <summary>Stores the address of a page fault for the guest (arch_vcpu_info.cr2).</summary>
    public void SetFaultAddress(ulong address)
    {
        Cr2 = address;
        *(ulong*)(VcpuInfo + 16) = address;
    }

    /// <summary>The object stored in <see cref="Owner"/>.</summary>
    public static T OwnerOf<T>(VcpuState* state) where T : class => Unsafe.As<ulong, T>(ref state->Owner);

    /// <summary>Stores an object in <see cref="Owner"/>; objects of the metal flavour do not move.</summary>
    public void SetOwner<T>(T owner) where T : class => Unsafe.As<ulong, T>(ref Owner) = owner;

    /// <summary>The guest's handler of a vector.</summary>
    [System.Diagnostics.CodeAnalysis.UnscopedRef]
    public ref GuestTrap Trap(byte vector) => ref Unsafe.Add(ref _firstTrap, vector);
}
