using System;
using System.Buffers.Binary;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Processor;
using Blanket.Core.Scheduling;
using Blanket.Machine;

namespace Blanket.Core.Building;

/// <summary>
/// Gives a vCPU its first state from struct vcpu_guest_context (arch-x86/xen.h): VCPUOP_initialise and the domain builder.
/// </summary>
public static class VcpuContext
{
    private const int PrivilegeShift = 12;
    private const ulong FlagAlwaysOne = 1 << 1;
    private const ulong FlagInterrupt = 1 << 9;

    // What of RFLAGS is the guest's: everything but IOPL, VM, VIF, VIP and reserved bits.
    private const ulong GuestFlags = 0x254fd5;

    private const ulong KnownAssists = (1UL << MmuVmAssist.FourGigabyteSegments) | (1UL << MmuVmAssist.FourGigabyteSegmentsNotify)
        | (1UL << MmuVmAssist.WritablePageTables) | (1UL << MmuVmAssist.PaeExtendedCr3) | (1UL << MmuVmAssist.ArchitecturalIopl)
        | (1UL << MmuVmAssist.RunstateUpdateFlag) | (1UL << MmuVmAssist.StrictMachineToPhysical);

    private const ulong MaximumLdtEntries = 8192;
    private const int EntriesPerGdtFrame = Cpu.PageSize / 8;

    // FXSAVE area and XSAVE header (Intel SDM vol. 1, 13.4): control words after FNINIT and LDMXCSR's reset value.
    private const int ControlWordOffset = 0;
    private const ushort ControlWordDefault = 0x37f;
    private const int MxcsrOffset = 24;
    private const uint MxcsrDefault = 0x1f80;
    private const uint MxcsrMask = 0xffff;
    private const int StateBitmapOffset = 512;
    private const ulong X87AndSse = 3;
    private const int AreaHeaderEnd = 576;

    /// <summary>
    /// Checks a context and installs it in a vCPU that has not run yet, which is initialised then, and goes up if its flags say so.
    /// </summary>
    /// <returns>
    /// 0; -EEXIST when it is initialised already; -EINVAL for an address, table or page-table root that a guest may not have, and errors
    /// of taking the GDT and the roots; <see cref="Hypercalls.HypercallArguments.Restart"/> when validating a root was
    /// interrupted: call again.
    /// </returns>
    public static long TryInstall(Vcpu vcpu, in VcpuGuestContext context)
    {
        if (!IsAcceptable(vcpu, context))
        {
            return -Errno.EINVAL;
        }

        // From the check to the flag: what is taken for a vCPU must not be exchanged once it can run.
        vcpu.Domain.ContextLock.Acquire();
        long result = vcpu.Schedule.IsInitialised ? -Errno.EEXIST : Install(vcpu, context);
        vcpu.Domain.ContextLock.Release();
        if (result == 0 && (context.Flags & VcpuGuestContext.Online) != 0)
        {
            Scheduler.SetDown(vcpu, false);
        }

        return result;
    }

    private static long Install(Vcpu vcpu, in VcpuGuestContext context)
    {
        if (vcpu.Id == 0)
        {
            InstallAssists(vcpu.Domain, context.VmAssist);
        }

        long result = ContextTables.TryInstall(vcpu, context);
        if (result != 0)
        {
            return result;
        }

        InstallRegisters(ref vcpu.State, context);
        InstallEntryPoints(ref vcpu.State, context);
        InstallVectorState(vcpu, context);
        InstallControl(vcpu, context);
        vcpu.Schedule.IsInitialised = true;
        return 0;
    }

    private static bool IsAcceptable(Vcpu vcpu, in VcpuGuestContext context)
    {
        if (!AddressSpace.IsCanonical(context.Registers.Rip)
            || !AddressSpace.IsCanonical(context.Registers.Rsp)
            || !AddressSpace.IsCanonical(context.KernelStackPointer)
            || !AddressSpace.IsCanonical(context.FsBase)
            || !AddressSpace.IsCanonical(context.GsBaseKernel)
            || !AddressSpace.IsCanonical(context.GsBaseUser)
            || !AddressSpace.IsCanonical(context.EventCallback)
            || !AddressSpace.IsCanonical(context.SyscallCallback)
            || !AddressSpace.IsCanonical(context.FailsafeCallback))
        {
            return false;
        }

        for (int i = 0; i < TrapInfoTable.Size; i++)
        {
            if (!AddressSpace.IsCanonical(context.Traps[i].Address))
            {
                return false;
            }
        }

        return AddressSpace.IsGuestAddress(context.LdtBase)
            && (context.LdtBase & (Cpu.PageSize - 1)) == 0
            && context.LdtEntries <= MaximumLdtEntries
            && context.GdtEntries <= (ulong)GdtFrames.Size * EntriesPerGdtFrame
            && ((context.Flags & VcpuGuestContext.InKernel) != 0 || context.ControlRegisters[1] != 0)
            && (vcpu.Id != 0 || (context.VmAssist & ~KnownAssists) == 0);
    }

    private static void InstallAssists(Domain domain, ulong assists)
    {
        for (int type = 0; type < 64; type++)
        {
            domain.SetVmAssist(type, ((assists >> type) & 1) != 0);
        }
    }

    private static void InstallRegisters(ref VcpuState state, in VcpuGuestContext context)
    {
        ref GuestRegisters registers = ref state.Registers;
        registers.R15 = context.Registers.R15;
        registers.R14 = context.Registers.R14;
        registers.R13 = context.Registers.R13;
        registers.R12 = context.Registers.R12;
        registers.Rbp = context.Registers.Rbp;
        registers.Rbx = context.Registers.Rbx;
        registers.R11 = context.Registers.R11;
        registers.R10 = context.Registers.R10;
        registers.R9 = context.Registers.R9;
        registers.R8 = context.Registers.R8;
        registers.Rax = context.Registers.Rax;
        registers.Rcx = context.Registers.Rcx;
        registers.Rdx = context.Registers.Rdx;
        registers.Rsi = context.Registers.Rsi;
        registers.Rdi = context.Registers.Rdi;
        registers.ErrorCode = 0;
        registers.EntryVector = 0;
        registers.Rip = context.Registers.Rip;
        registers.Cs = GuestSelector.WithGuestPrivilege(context.Registers.Cs);
        registers.Rflags = (context.Registers.Rflags & GuestFlags) | FlagInterrupt | FlagAlwaysOne;
        registers.Rsp = context.Registers.Rsp;
        registers.Ss = GuestSelector.WithGuestPrivilege((ushort)context.Registers.Ss);
        state.Ds = (ushort)context.Registers.Ds;
        state.Es = (ushort)context.Registers.Es;
        state.Fs = (ushort)context.Registers.Fs;
        state.Gs = (ushort)context.Registers.Gs;
        state.FsBase = context.FsBase;
        state.GsBaseKernel = context.GsBaseKernel;
        state.GsBaseUser = context.GsBaseUser;
        state.IoPrivilegeLevel = (byte)((context.Registers.Rflags >> PrivilegeShift) & 3);
        state.MustUseIret = 1;
    }

    private static void InstallEntryPoints(ref VcpuState state, in VcpuGuestContext context)
    {
        for (int i = 0; i < TrapInfoTable.Size; i++)
        {
            ref GuestTrap trap = ref state.Trap((byte)i);
            trap.Address = context.Traps[i].Address;
            trap.CodeSelector = GuestSelector.WithGuestPrivilege(context.Traps[i].CodeSelector);
            trap.Flags = context.Traps[i].Flags;
        }

        state.KernelStackSegment = GuestSelector.WithGuestPrivilege((ushort)context.KernelStackSegment);
        state.KernelStackPointer = context.KernelStackPointer;
        state.EventCallback = context.EventCallback;
        state.FailsafeCallback = context.FailsafeCallback;
        state.SyscallCallback = context.SyscallCallback;
        state.FailsafeMasksEvents = Bit(context.Flags, VcpuGuestContext.FailsafeMasksEvents);
        state.SyscallMasksEvents = Bit(context.Flags, VcpuGuestContext.SyscallMasksEvents);
        state.InKernel = Bit(context.Flags, VcpuGuestContext.InKernel);
    }

    // XRSTOR takes components whose bit is clear in the area's header to be in their initial state; MXCSR it always loads.
    private static void InstallVectorState(Vcpu vcpu, in VcpuGuestContext context)
    {
        Span<byte> area = PhysicalMemory.Bytes(vcpu.StateAddress + VcpuState.ExtendedStateOffset, AreaHeaderEnd);
        area.Clear();
        if ((context.Flags & VcpuGuestContext.FpuValid) == 0)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(area.Slice(ControlWordOffset), ControlWordDefault);
            BinaryPrimitives.WriteUInt32LittleEndian(area.Slice(MxcsrOffset), MxcsrDefault);
            return;
        }

        ((ReadOnlySpan<byte>)context.Fpu).CopyTo(area);
        uint mxcsr = BinaryPrimitives.ReadUInt32LittleEndian(area.Slice(MxcsrOffset));
        BinaryPrimitives.WriteUInt32LittleEndian(area.Slice(MxcsrOffset), mxcsr & MxcsrMask);
        BinaryPrimitives.WriteUInt64LittleEndian(area.Slice(StateBitmapOffset), X87AndSse);
    }

    private static void InstallControl(Vcpu vcpu, in VcpuGuestContext context)
    {
        vcpu.State.TaskSwitched = Bit(context.ControlRegisters[0], ControlRegisters.TaskSwitched);
        vcpu.GuestCr4 = ControlRegisters.GuestCr4(context.ControlRegisters[4]);
        GuestXcr0.Reset(vcpu);
        DebugRegisters.Reset(vcpu);
        for (uint i = 0; i < EightRegisters.Size; i++)
        {
            // As with the hypercall, a refused value leaves the register as it is; the names 4 and 5 are not registers.
            if (i is not (4 or 5))
            {
                DebugRegisters.TrySet(vcpu, i, context.DebugRegisters[(int)i]);
            }
        }
    }

    private static byte Bit(ulong value, ulong mask) => (byte)((value & mask) != 0 ? 1 : 0);
}
