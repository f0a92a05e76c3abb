using System;
using Blanket.Abi.Xen;
using Blanket.Core.Building;
using Blanket.Core.Domains;
using Blanket.Core.Processor;
using Blanket.Core.Tests.Memory;
using Blanket.Core.Tests.Processor;
using Blanket.Machine;
using FsCheck;
using FsCheck.Xunit;

namespace Blanket.Core.Tests.Building;

public class VcpuContextTests
{
    private const ulong NotCanonical = 0x0001_0000_0000_0000;
    private readonly TestMachine _machine;
    private readonly TestGuest _guest;
    private readonly Vcpu _target;

    public VcpuContextTests()
    {
        _machine = new TestMachine();
        CpuidPolicy.Use(new CpuidPolicy(new SimulatedCpu()));
        _guest = new TestGuest(_machine, 1, 12, vcpus: 2);
        _guest.BuildTree(_guest.Frames[10]);
        _target = _guest.Domain.Vcpus[1]!;
    }

    private VcpuGuestContext Context()
    {
        VcpuGuestContext context = default;
        context.Flags = VcpuGuestContext.InKernel;
        context.ControlRegisters[3] = _guest.Frames[0] << Cpu.PageShift;
        context.Registers.Rip = 0xffffffff81000000;
        context.Registers.Cs = 0xe030;
        context.Registers.Ss = 0xe028;
        return context;
    }

    private void AssertNothingTaken(long expected, VcpuGuestContext context)
    {
        Assert.Equal(expected, VcpuContext.TryInstall(_target, context));
        Assert.False(_target.Schedule.IsInitialised);
        Assert.Equal(0UL, _target.KernelRoot);
        Assert.Equal(0UL, _target.UserRoot);
        Assert.Equal(0U, _target.GdtEntries);
        _machine.Audit();
    }

    [Fact]
    public void EverythingOfAContextArrives()
    {
        VcpuGuestContext context = Context();
        context.Registers.R15 = 15;
        context.Registers.Rdi = 7;
        context.Registers.Rsp = 0x1000;
        context.Registers.Rflags = 0x3346;
        context.Registers.Fs = 0x63;
        context.Traps[14] = new TrapInfo { Vector = 9, Flags = 4, CodeSelector = 0xe030, Address = 0xffffffff81000100 };
        context.KernelStackPointer = 0x2000;
        context.KernelStackSegment = 0xe028;
        context.EventCallback = 0x3000;
        context.FailsafeCallback = 0x4000;
        context.SyscallCallback = 0x5000;
        context.Flags |= VcpuGuestContext.SyscallMasksEvents;
        context.GsBaseKernel = 0xffff888000001000;
        context.GsBaseUser = 0x6000;
        context.FsBase = 0x7000;
        context.LdtBase = 0x8000;
        context.LdtEntries = 10;
        context.GdtFrames[0] = _guest.Frames[11];
        context.GdtEntries = 16;
        context.DebugRegisters[1] = 0x9000;
        context.DebugRegisters[7] = 4;
        Assert.Equal(0, VcpuContext.TryInstall(_target, context));

        ref VcpuState state = ref _target.State;
        Assert.Equal((15UL, 7UL, 0x1000UL), (state.Registers.R15, state.Registers.Rdi, state.Registers.Rsp));
        Assert.Equal((0xe033, 0xe02bUL, 0x63), (state.Registers.Cs, state.Registers.Ss, state.Fs));
        Assert.Equal(0x346UL, state.Registers.Rflags);
        Assert.Equal(3, state.IoPrivilegeLevel);
        Assert.Equal((0xffffffff81000100UL, 0xe033, 4), (state.Trap(14).Address, state.Trap(14).CodeSelector, state.Trap(14).Flags));
        Assert.Equal((0x2000UL, 0xe02bUL), (state.KernelStackPointer, state.KernelStackSegment));
        Assert.Equal((0x3000UL, 0x4000UL, 0x5000UL), (state.EventCallback, state.FailsafeCallback, state.SyscallCallback));
        Assert.Equal((1, 0), (state.SyscallMasksEvents, state.FailsafeMasksEvents));
        Assert.Equal((0x7000UL, 0xffff888000001000UL, 0x6000UL), (state.FsBase, state.GsBaseKernel, state.GsBaseUser));
        Assert.Equal((0x8000UL, 10U), (_target.LdtBase, _target.LdtEntries));
        Assert.Equal((_guest.Frames[11], 16U), (_target.GdtFrames[0], _target.GdtEntries));
        Assert.Equal(_guest.Frames[0], _target.KernelRoot);
        Assert.Equal(_guest.Frames[0] << Cpu.PageShift, state.KernelCr3);
        Assert.True(DebugRegisters.TryGet(_target, 7, out ulong control));
        Assert.Equal(0x404UL, control);
        Assert.Equal(0x37f, PhysicalMemory.At<ushort>(_target.StateAddress + VcpuState.ExtendedStateOffset));
        Assert.Equal(0x1f80U, PhysicalMemory.At<uint>(_target.StateAddress + VcpuState.ExtendedStateOffset + 24));
        Assert.True(_target.Schedule.IsInitialised);
        Assert.True(_target.Schedule.IsDown);
        _machine.Audit();
        Assert.Equal(-Errno.EEXIST, VcpuContext.TryInstall(_target, context));
        _machine.Destroy(_guest.Domain);
        Assert.True(_guest.Domain.OwnsNoFrames);
    }

    [Fact]
    public void VectorStateIsTakenWhereItIsValid()
    {
        VcpuGuestContext context = Context();
        new Random(1).NextBytes(context.Fpu);
        context.Flags |= VcpuGuestContext.FpuValid;
        Assert.Equal(0, VcpuContext.TryInstall(_target, context));
        ReadOnlySpan<byte> area = PhysicalMemory.Bytes(_target.StateAddress + VcpuState.ExtendedStateOffset, 576);
        Assert.True(area[..24].SequenceEqual(((ReadOnlySpan<byte>)context.Fpu)[..24]));
        Assert.True(area[28..512].SequenceEqual(((ReadOnlySpan<byte>)context.Fpu)[28..]));
        Assert.Equal(0, area[26] | area[27]);
        Assert.Equal(3UL, BitConverter.ToUInt64(area[512..]));
    }

    [Fact]
    public void AddressesThatAreNotAGuestsAreRefused()
    {
        for (int i = 0; i < 12; i++)
        {
            VcpuGuestContext context = Context();
            switch (i)
            {
                case 0: context.Registers.Rip = NotCanonical; break;
                case 1: context.Registers.Rsp = NotCanonical; break;
                case 2: context.KernelStackPointer = NotCanonical; break;
                case 3: context.FsBase = NotCanonical; break;
                case 4: context.GsBaseKernel = NotCanonical; break;
                case 5: context.GsBaseUser = NotCanonical; break;
                case 6: context.EventCallback = NotCanonical; break;
                case 7: context.SyscallCallback = NotCanonical; break;
                case 8: context.FailsafeCallback = NotCanonical; break;
                case 9: context.Traps[255].Address = NotCanonical; break;
                case 10: context.LdtBase = 0xffff800000000000; break;
                default: context.LdtBase = 0x1001; break;
            }

            AssertNothingTaken(-Errno.EINVAL, context);
        }
    }

    [Fact]
    public void TablesThatAreNotTheGuestsAreRefused()
    {
        VcpuGuestContext context = Context();
        context.LdtEntries = 8193;
        AssertNothingTaken(-Errno.EINVAL, context);
        context = Context();
        context.GdtEntries = 8193;
        AssertNothingTaken(-Errno.EINVAL, context);
        context.GdtEntries = 7169;
        AssertNothingTaken(-Errno.EINVAL, context);
        context.GdtEntries = 1;
        context.GdtFrames[0] = 1;
        AssertNothingTaken(-Errno.EINVAL, context);
        context = Context();
        context.ControlRegisters[3] = 0;
        AssertNothingTaken(-Errno.EINVAL, context);
        context.ControlRegisters[3] = ulong.MaxValue;
        AssertNothingTaken(-Errno.EINVAL, context);
        context.ControlRegisters[3] = _guest.Frames[3] << Cpu.PageShift;
        context.GdtFrames[0] = _guest.Frames[11];
        context.GdtEntries = 1;
        TestGuest.Set(_guest.Frames[4], 5, 0x1001);
        context.ControlRegisters[3] = _guest.Frames[4] << Cpu.PageShift;
        AssertNothingTaken(-Errno.EINVAL, context);
        context = Context();
        context.ControlRegisters[1] = _guest.Frames[4] << Cpu.PageShift;
        AssertNothingTaken(-Errno.EINVAL, context);
        context = Context();
        context.Flags = 0;
        AssertNothingTaken(-Errno.EINVAL, context);
    }

    [Fact]
    public void UserRootsAreTakenToo()
    {
        VcpuGuestContext context = Context();
        context.Flags = 0;
        context.ControlRegisters[1] = _guest.Frames[5] << Cpu.PageShift;
        Assert.Equal(0, VcpuContext.TryInstall(_target, context));
        Assert.Equal(_guest.Frames[5], _target.UserRoot);
        Assert.Equal(_guest.Frames[5] << Cpu.PageShift, _target.State.UserCr3);
        Assert.Equal(0, _target.State.InKernel);
        _machine.Audit();
    }

    [Property(MaxTest = 60)]
    public void InterruptedInstallationsGoOn(DoNotSize<int> seed)
    {
        Random random = new(seed.Item);
        VcpuContextTests test = new();
        VcpuGuestContext context = test.Context();
        context.ControlRegisters[1] = test._guest.Frames[5] << Cpu.PageShift;
        long result;
        int goes = 0;
        do
        {
            PendingWork.Exists = random.Next(4) != 0;
            if (random.Next(3) == 0)
            {
                // The guest changes its mind between two goes.
                context.ControlRegisters[1] = test._guest.Frames[5 + random.Next(2)] << Cpu.PageShift;
            }

            result = VcpuContext.TryInstall(test._target, context);
            Assert.True(goes++ < 10_000);
        }
        while (result == -Errno.ERESTART);

        PendingWork.Exists = false;
        Assert.Equal(0, result);
        Assert.Equal(context.ControlRegisters[1] >> Cpu.PageShift, test._target.UserRoot);
        test._machine.Audit();
        test._machine.Destroy(test._guest.Domain);
        Assert.True(test._guest.Domain.OwnsNoFrames);
    }

    [Fact]
    public void AssistsAreTheFirstVcpus()
    {
        VcpuGuestContext context = Context();
        context.VmAssist = 1UL << MmuVmAssist.WritablePageTables;
        Assert.Equal(0, VcpuContext.TryInstall(_target, context));
        Assert.Equal(0UL, _guest.Domain.VmAssist);
        Vcpu first = _guest.Domain.Vcpus[0]!;
        context.VmAssist = 1UL << 20;
        Assert.Equal(-Errno.EINVAL, VcpuContext.TryInstall(first, context));
        context.VmAssist = 1UL << MmuVmAssist.WritablePageTables;
        Assert.Equal(0, VcpuContext.TryInstall(first, context));
        Assert.Equal(context.VmAssist, _guest.Domain.VmAssist);
    }
}
