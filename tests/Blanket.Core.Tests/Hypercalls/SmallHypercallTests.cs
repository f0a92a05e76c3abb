using System;
using System.Text;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Core.Memory;
using Blanket.Core.Processor;
using Blanket.Core.Tests.Memory;
using Blanket.Core.Tests.Processor;
using Blanket.Machine;

namespace Blanket.Core.Tests.Hypercalls;

public class SmallHypercallTests
{
    private const ulong Argument = TestGuest.ArgumentBase;
    private const ulong NotCanonical = 0x0001_0000_0000_0000;
    private readonly TestGuest _guest;

    public SmallHypercallTests()
    {
        TestMachine machine = new(64);
        CpuidPolicy.Use(new CpuidPolicy(new SimulatedCpu()));
        _guest = new TestGuest(machine, 1, 0);
        DebugRegisters.Reset(Vcpu);
    }

    private Vcpu Vcpu => _guest.Vcpu;

    private ref VcpuState State => ref Vcpu.State;

    private long Version(uint operation, ulong argument = Argument) => _guest.Call(XenVersionHypercall.Handle, operation, argument);

    private string Text(int length)
    {
        StringBuilder text = new();
        for (int i = 0; i < length && _guest.Load<byte>(Argument + (ulong)i) is byte value and not 0; i++)
        {
            text.Append((char)value);
        }

        return text.ToString();
    }

    private void Fill() => _guest.Store(Argument, new ReadOnlySpan<byte>(CreateFilled()));

    private static byte[] CreateFilled()
    {
        byte[] bytes = new byte[2048];
        Array.Fill(bytes, (byte)0xee);
        return bytes;
    }

    [Fact]
    public void VersionIsXen417()
    {
        Assert.Equal(0x40011, Version(0));
        Assert.Equal(0, Version(1));
        Fill();
        Assert.Equal(0, Version(3));
        Assert.Equal("xen-3.0-x86_64 ", Text(1024));
        Assert.Equal(0, _guest.Load<byte>(Argument + 1023));
        Assert.Equal(0xee, _guest.Load<byte>(Argument + 1024));
        Assert.Equal(0, Version(5));
        Assert.Equal(0xffff800000000000UL, _guest.Load<ulong>(Argument));
        Assert.Equal(4096, Version(7, 0));
        Assert.Equal(-Errno.EINVAL, Version(7));
        Fill();
        Assert.Equal(0, Version(9));
        Assert.Equal("<denied>", Text(64));
        Assert.Equal(0xee, _guest.Load<byte>(Argument + 9));
        Assert.Equal(-Errno.EPERM, Version(10));
        Assert.Equal(-Errno.ENOSYS, Version(11));
        Assert.Equal(-Errno.EFAULT, Version(3, 0x10));
    }

    [Fact]
    public void FeaturesAreThoseOfAPvGuest()
    {
        _guest.Store(Argument, new uint[] { 0, 0 }.AsSpan());
        Assert.Equal(0, Version(6));
        uint expected = 1U << 5 | 1U << 6 | 1U << 7 | 1U << 13 | 1U << 17;
        Assert.Equal(expected, _guest.Load<uint>(Argument + 4));
        _guest.Domain.SetVmAssist(MmuVmAssist.PaeExtendedCr3, true);
        Assert.Equal(0, Version(6));
        Assert.Equal(expected | 1U << 4, _guest.Load<uint>(Argument + 4));
        _guest.Store(Argument, new uint[] { 1, 0 }.AsSpan());
        Assert.Equal(-Errno.EINVAL, Version(6));
    }

    [Fact]
    public void GuestHandleIsItsUuid()
    {
        for (int i = 0; i < 16; i++)
        {
            _guest.Domain.Uuid[i] = (byte)(i + 1);
        }

        Assert.Equal(0, Version(8));
        Assert.Equal(0x0807060504030201UL, _guest.Load<ulong>(Argument));
        Assert.Equal(0x100f0e0d0c0b0a09UL, _guest.Load<ulong>(Argument + 8));
    }

    [Fact]
    public void PrivilegeLevelAndBitmapAreTheVcpus()
    {
        _guest.Store(Argument, new uint[] { 1 }.AsSpan());
        Assert.Equal(0, _guest.Call(PhysdevOpHypercall.Handle, 6, Argument));
        Assert.Equal(1, State.IoPrivilegeLevel);
        _guest.Store(Argument, new uint[] { 4 }.AsSpan());
        Assert.Equal(-Errno.EINVAL, _guest.Call(PhysdevOpHypercall.Handle, 6, Argument));
        _guest.Store(Argument, new PhysdevOpHypercall.IoBitmap[] { new(0x5000, 65536) }.AsSpan());
        Assert.Equal(0, _guest.Call(PhysdevOpHypercall.Handle, 7, Argument));
        Assert.Equal((0x5000UL, 65536U), (Vcpu.IoBitmapAddress, Vcpu.IoBitmapPorts));
        _guest.Store(Argument, new PhysdevOpHypercall.IoBitmap[] { new(0x5000, 65537) }.AsSpan());
        Assert.Equal(-Errno.EINVAL, _guest.Call(PhysdevOpHypercall.Handle, 7, Argument));
        _guest.Store(Argument, new PhysdevOpHypercall.IoBitmap[] { new(0xffff7fffffffffff, 8) }.AsSpan());
        Assert.Equal(-Errno.EINVAL, _guest.Call(PhysdevOpHypercall.Handle, 7, Argument));
        Assert.Equal(-Errno.EFAULT, _guest.Call(PhysdevOpHypercall.Handle, 7, 0x10));

        _guest.Store(Argument, new uint[] { 6, 0, 2 }.AsSpan());
        Assert.Equal(0, _guest.Call(PhysdevOpHypercall.HandleCompat, Argument));
        Assert.Equal(2, State.IoPrivilegeLevel);
    }

    [Theory]
    [InlineData(4U, 0)]
    [InlineData(5U, -Errno.EINVAL)]
    [InlineData(8U, -Errno.EPERM)]
    [InlineData(12U, -Errno.EINVAL)]
    [InlineData(13U, -Errno.EPERM)]
    [InlineData(23U, -Errno.ENOSPC)]
    [InlineData(25U, -Errno.EPERM)]
    [InlineData(29U, -Errno.EPERM)]
    [InlineData(11U, -Errno.ENOSYS)]
    [InlineData(99U, -Errno.ENOSYS)]
    public void GuestsHaveNoPhysicalDevices(uint operation, long expected) =>
        Assert.Equal(expected, _guest.Call(PhysdevOpHypercall.Handle, operation, Argument));

    [Fact]
    public void TrapTableIsReadToItsEnd()
    {
        _guest.Store(Argument, new TrapInfo[]
        {
            new() { Vector = 14, Flags = 4, CodeSelector = 0x10, Address = 0xffffffff81000000 },
            new() { Vector = 3, Flags = 3, CodeSelector = 0xe030, Address = 0x1000 },
            default,
        }.AsSpan());
        Assert.Equal(0, _guest.Call(SetTrapTableHypercall.Handle, Argument));
        Assert.Equal((0xffffffff81000000UL, 0x13, 4), (State.Trap(14).Address, State.Trap(14).CodeSelector, State.Trap(14).Flags));
        Assert.Equal((0x1000UL, 0xe033, 3), (State.Trap(3).Address, State.Trap(3).CodeSelector, State.Trap(3).Flags));
        _guest.Store(Argument, new TrapInfo[] { new() { Vector = 1, Address = NotCanonical } }.AsSpan());
        Assert.Equal(-Errno.EINVAL, _guest.Call(SetTrapTableHypercall.Handle, Argument));
        Assert.Equal(-Errno.EFAULT, _guest.Call(SetTrapTableHypercall.Handle, 0x10));
        Assert.Equal(0, _guest.Call(SetTrapTableHypercall.Handle, 0));
        Assert.Equal(0UL, State.Trap(14).Address);
    }

    [Fact]
    public void EndlessTrapTablesGiveWay()
    {
        TrapInfo[] table = new TrapInfo[1000];
        Array.Fill(table, new TrapInfo { Vector = 7, Address = 0x2000 });
        table[999] = default;
        _guest.Store(Argument, table.AsSpan());
        int goes = 0;
        _guest.Preempted = () => goes++ >= 0;
        Assert.Equal(0, _guest.Call(SetTrapTableHypercall.Handle, Argument));
        Assert.InRange(goes, 10, 20);
    }

    [Fact]
    public void CallbacksAreSetWithTheirFlags()
    {
        Assert.Equal(0, Register(Callback.TypeEvent, 0, 0x1000));
        Assert.Equal(0, Register(Callback.TypeFailsafe, Callback.MaskEvents, 0x2000));
        Assert.Equal(0, Register(Callback.TypeSyscall, Callback.MaskEvents, 0x3000));
        Assert.Equal(0, Register(Callback.TypeNmi, 0, 0x4000));
        Assert.Equal((0x1000UL, 0x2000UL, 0x3000UL), (State.EventCallback, State.FailsafeCallback, State.SyscallCallback));
        Assert.Equal((1, 1), (State.FailsafeMasksEvents, State.SyscallMasksEvents));
        Assert.Equal((0x4000UL, 4), (State.Trap(2).Address, State.Trap(2).Flags));
        Assert.Equal(-Errno.EINVAL, Register(Callback.TypeSyscall, 0, NotCanonical));
        Assert.Equal(0, Register(Callback.TypeSyscall32, Callback.MaskEvents, 0x5000));
        Assert.Equal((0x5000UL, 1), (State.Syscall32Callback, State.Syscall32MasksEvents));
        Assert.Equal(0, Register(Callback.TypeSysenter, Callback.MaskEvents, 0x5800));
        Assert.Equal((0x5800UL, 1), (State.SysenterCallback, State.SysenterMasksEvents));
        Assert.Equal(-Errno.ENOSYS, Register(6, 0, 0x5000));
        Assert.Equal(0, _guest.Call(CallbackOpHypercall.Handle, 1, Argument + 64));
        Assert.Equal(-Errno.ENOSYS, _guest.Call(CallbackOpHypercall.Handle, 2, Argument));

        Assert.Equal(0, _guest.Call(SetCallbacksHypercall.Handle, 0x6000, NotCanonical, 0x7000));
        Assert.Equal((0x6000UL, 0x2000UL, 0x7000UL), (State.EventCallback, State.FailsafeCallback, State.SyscallCallback));
        Assert.Equal(0, State.SyscallMasksEvents);
    }

    private long Register(ushort type, ushort flags, ulong address)
    {
        _guest.Store(Argument, new CallbackRegister[] { new() { Type = type, Flags = flags, Address = address } }.AsSpan());
        _guest.Store(Argument + 64, new CallbackUnregister[] { new() { Type = Callback.TypeNmi } }.AsSpan());
        return _guest.Call(CallbackOpHypercall.Handle, 0, Argument);
    }

    [Fact]
    public void StackSwitchFixesTheSelector()
    {
        Assert.Equal(0, _guest.Call(StackSwitchHypercall.Handle, 0x18, 0xffffffff82000000));
        Assert.Equal((0x1bUL, 0xffffffff82000000UL), (State.KernelStackSegment, State.KernelStackPointer));
    }

    [Fact]
    public void DebugRegistersAreSetAndRead()
    {
        Assert.Equal(0, _guest.Call(SetDebugregHypercall.Handle, 0, 0x1234));
        Assert.Equal(0x1234, _guest.Call(GetDebugregHypercall.Handle, 0));
        Assert.Equal(-Errno.EPERM, _guest.Call(SetDebugregHypercall.Handle, 0, 0xffff800000000000));
        Assert.Equal(-Errno.ENODEV, _guest.Call(SetDebugregHypercall.Handle, 9, 0));
        Assert.Equal(-Errno.ENODEV, _guest.Call(GetDebugregHypercall.Handle, 9));
    }

    [Fact]
    public void TaskSwitchedFollowsTheCall()
    {
        Assert.Equal(0, _guest.Call(FpuTaskswitchHypercall.Handle, 5));
        Assert.Equal(1, State.TaskSwitched);
        Assert.Equal(0, _guest.Call(FpuTaskswitchHypercall.Handle, 0));
        Assert.Equal(0, State.TaskSwitched);
    }

    [Theory]
    [InlineData(7UL, -Errno.EPERM)]
    [InlineData(27UL, -Errno.ENOSYS)]
    [InlineData(31UL, -Errno.ENOSYS)]
    [InlineData(34UL, -Errno.ENOSYS)]
    [InlineData(35UL, -Errno.EPERM)]
    [InlineData(36UL, -Errno.EPERM)]
    [InlineData(37UL, -Errno.EPERM)]
    [InlineData(38UL, -Errno.ENOSYS)]
    [InlineData(39UL, -Errno.EOPNOTSUPP)]
    [InlineData(40UL, -Errno.EOPNOTSUPP)]
    [InlineData(41UL, -Errno.EPERM)]
    [InlineData(42UL, -Errno.EPERM)]
    [InlineData(48UL, -Errno.EPERM)]
    [InlineData(11UL, -Errno.ENOSYS)]
    [InlineData(63UL, -Errno.ENOSYS)]
    [InlineData(0x100000000UL, -Errno.ENOSYS)]
    public void ControlDomainsHypercallsAreRefused(ulong number, long expected)
    {
        HypercallArguments arguments = default;
        Assert.Equal(expected, HypercallTable.Dispatch(Vcpu, number, ref arguments));
    }
}
