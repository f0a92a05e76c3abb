using System;
using Blanket.Abi.Xen;
using Blanket.Core.Emulation;
using Blanket.Core.Processor;
using Blanket.Machine;

namespace Blanket.Core.Tests.Emulation;

public class PrivilegedInstructionTests
{
    private const ulong TrapFlag = 0x100;
    private readonly EmulationGuest _guest = new();

    private ref GuestRegisters Registers => ref _guest.Registers;

    private EmulationKind Run(params byte[] code)
    {
        _guest.SetCode(code);
        return _guest.Privileged().Kind;
    }

    private void AssertDone(params byte[] code)
    {
        Assert.Equal(EmulationKind.Done, Run(code));
        Assert.Equal(EmulationGuest.Code + (ulong)code.Length, Registers.Rip);
    }

    private void AssertNotHandled(params byte[] code)
    {
        Assert.Equal(EmulationKind.NotHandled, Run(code));
        Assert.Equal(EmulationGuest.Code, Registers.Rip);
    }

    [Fact]
    public void InstructionsThatXenDoesNotEmulateAreTheGuests()
    {
        AssertNotHandled(0xf4);
        AssertNotHandled(0x0f, 0x01, 0x38);
        AssertNotHandled(0x0f, 0x01, 0x10);
        AssertNotHandled(0x0f, 0x01, 0xf8);
        AssertNotHandled(0x0f, 0x01, 0xf0);
        AssertNotHandled(0x0f, 0x33);
        AssertNotHandled(0x0f, 0x08);
        AssertNotHandled(0x0f, 0x35);
        AssertNotHandled(0xcd, 0x80);
        AssertNotHandled(0x90);
    }

    [Fact]
    public void UserModeGetsNothingOfRingZero()
    {
        _guest.Vcpu.State.InKernel = 0;
        AssertNotHandled(0x0f, 0x06);
        AssertNotHandled(0x0f, 0x09);
        AssertNotHandled(0x0f, 0x20, 0xc0);
        AssertNotHandled(0x0f, 0x23, 0xc0);
        AssertNotHandled(0x0f, 0x30);
        AssertNotHandled(0x0f, 0x32);
        AssertNotHandled(0x0f, 0x01, 0xd1);
        AssertNotHandled(0xfa);
    }

    [Fact]
    public void ClearingTaskSwitchedAndFlushingCachesAreDone()
    {
        _guest.Vcpu.State.TaskSwitched = 1;
        AssertDone(0x0f, 0x06);
        Assert.Equal(0, _guest.Vcpu.State.TaskSwitched);
        AssertDone(0x0f, 0x09);
    }

    [Fact]
    public void InterruptFlagInstructionsNeedPrivilegeAndChangeNothing()
    {
        AssertNotHandled(0xfa);
        _guest.Vcpu.State.IoPrivilegeLevel = 1;
        AssertDone(0xfa);
        AssertDone(0xfb);
        Assert.Equal(0x202UL, Registers.Rflags);
        _guest.Vcpu.State.IoPrivilegeLevel = 0;
        _guest.Guest.Domain.SetVmAssist(MmuVmAssist.ArchitecturalIopl, true);
        AssertDone(0xfb);
        _guest.Vcpu.State.InKernel = 0;
        AssertNotHandled(0xfb);
        _guest.Vcpu.State.IoPrivilegeLevel = 3;
        AssertDone(0xfb);
    }

    [Fact]
    public void TimeStampIsForUserModeToo()
    {
        _guest.Vcpu.State.InKernel = 0;
        Registers.Rax = ulong.MaxValue;
        Registers.Rdx = ulong.MaxValue;
        AssertDone(0x0f, 0x31);
        ulong first = Registers.Rax | Registers.Rdx << 32;
        Assert.InRange(first, 1UL, uint.MaxValue);
        _guest.Vcpu.TscAux = 77;
        AssertDone(0x0f, 0x01, 0xf9);
        Assert.Equal(77UL, Registers.Rcx);
        Assert.True((Registers.Rax | Registers.Rdx << 32) > first);
        _guest.Vcpu.GuestCr4 = ControlRegisters.TimeStampDisable;
        AssertNotHandled(0x0f, 0x31);
        _guest.Vcpu.State.InKernel = 1;
        AssertDone(0x0f, 0x31);
    }

    [Fact]
    public void RegistersOfTheModelAreReadAndWritten()
    {
        Registers.Rcx = Msr.FsBase;
        Registers.Rax = 0xdead_0000_1234_5678;
        Registers.Rdx = 0xbeef_0000_0000_7fff;
        AssertDone(0x0f, 0x30);
        Assert.Equal(0x7fff_1234_5678UL, Cpu.ReadMsr(Msr.FsBase));
        AssertDone(0x0f, 0x32);
        Assert.Equal(0x1234_5678UL, Registers.Rax);
        Assert.Equal(0x7fffUL, Registers.Rdx);
        _guest.Vcpu.State.Trap(13).Address = 1;
        Registers.Rcx = 0x1111;
        Assert.Equal(EmulationKind.InjectGeneralProtection, Run(0x0f, 0x32));
        Assert.Equal(EmulationKind.InjectGeneralProtection, Run(0x0f, 0x30));
        Assert.Equal(EmulationGuest.Code, Registers.Rip);
    }

    [Fact]
    public void ControlRegistersMove()
    {
        _guest.Vcpu.State.TaskSwitched = 1;
        AssertDone(0x0f, 0x20, 0xc3);
        Assert.Equal(ControlRegisters.TaskSwitched, Registers.Rbx);
        Registers.R9 = 0;
        AssertDone(0x41, 0x0f, 0x22, 0xc1);
        Assert.Equal(0, _guest.Vcpu.State.TaskSwitched);
        Registers.R9 = 1;
        Assert.Equal(EmulationKind.InjectGeneralProtection, Run(0x41, 0x0f, 0x22, 0xc1));

        AssertDone(0x0f, 0x20, 0xd8);
        Assert.Equal(_guest.Vcpu.KernelRoot << 12, Registers.Rax);
        AssertDone(0x0f, 0x22, 0xd8);
        Registers.Rax = _guest.TableFrame << 12;
        Assert.Equal(EmulationKind.InjectGeneralProtection, Run(0x0f, 0x22, 0xd8));

        Registers.Rax = ulong.MaxValue;
        AssertDone(0x0f, 0x22, 0xe0);
        Assert.Equal(
            ControlRegisters.TimeStampDisable | ControlRegisters.DebugExtensions | ControlRegisters.OsXsave,
            _guest.Vcpu.GuestCr4);
        AssertDone(0x0f, 0x20, 0xe1);
        Assert.Equal(_guest.Vcpu.GuestCr4, Registers.Rcx);
        AssertNotHandled(0x0f, 0x20, 0xc8);
        AssertNotHandled(0x44, 0x0f, 0x20, 0xc0);
        AssertNotHandled(0xf0, 0x0f, 0x20, 0xc0);
    }

    [Fact]
    public void DebugRegistersMove()
    {
        Registers.Rdx = 0xffffffff81000000;
        AssertDone(0x0f, 0x23, 0xca);
        AssertDone(0x0f, 0x21, 0xcf);
        Assert.Equal(0xffffffff81000000UL, Registers.Rdi);
        Registers.Rdx = 0xffff800000000000;
        Assert.Equal(EmulationKind.InjectGeneralProtection, Run(0x0f, 0x23, 0xca));
        Assert.Equal(EmulationKind.InjectInvalidOpcode, Run(0x44, 0x0f, 0x21, 0xc0));
    }

    [Fact]
    public void ExtendedControlNeedsTheGuestsOsxsave()
    {
        Registers.Rcx = 0;
        Registers.Rax = 7;
        Registers.Rdx = 0;
        Assert.Equal(EmulationKind.InjectInvalidOpcode, Run(0x0f, 0x01, 0xd1));
        _guest.Vcpu.GuestCr4 = ControlRegisters.OsXsave;
        AssertDone(0x0f, 0x01, 0xd1);
        Assert.Equal(7UL, _guest.Vcpu.GuestXcr0);
        Assert.Equal(7UL, _guest.Vcpu.State.ExtendedComponents);
        Registers.Rax = 2;
        Assert.Equal(EmulationKind.InjectGeneralProtection, Run(0x0f, 0x01, 0xd1));
        Registers.Rax = 7;
        Registers.Rcx = 1;
        Assert.Equal(EmulationKind.InjectGeneralProtection, Run(0x0f, 0x01, 0xd1));
        Registers.Rcx = 0;
        Assert.Equal(EmulationKind.InjectInvalidOpcode, Run(0x66, 0x0f, 0x01, 0xd1));
    }

    [Fact]
    public void SingleStepEndsWithDebugException()
    {
        Registers.Rflags |= TrapFlag | 1 << 16;
        Assert.Equal(EmulationKind.InjectDebug, Run(0x0f, 0x09));
        Assert.Equal(0x302UL, Registers.Rflags);
        Assert.True(DebugRegisters.TryGet(_guest.Vcpu, 6, out ulong status));
        Assert.Equal(0xffff4ff0UL, status);
    }

    [Fact]
    public void CodeOnAMissingPageIsAPageFaultThere()
    {
        ulong end = EmulationGuest.Code + NativeCpu.MemorySize;
        _guest.Memory[^1] = 0x0f;
        Registers.Rip = end - 1;
        EmulationResult result = _guest.Privileged();
        Assert.Equal(EmulationKind.InjectPageFault, result.Kind);
        Assert.Equal(end, result.Address);
        Assert.Equal(0x10U, result.ErrorCode);
        _guest.Vcpu.State.InKernel = 0;
        Assert.Equal(0x14U, _guest.Privileged().ErrorCode);
    }

    [Fact]
    public void CodeSegmentsOfTheGuestsTablesAreLookedUp()
    {
        ulong table = _guest.Guest.Frames[5];
        TestSegment(table, 2, 0x00affb000000ffff, EmulationKind.Done);
        TestSegment(table, 3, 0x00cffb000000ffff, EmulationKind.Done);
        TestSegment(table, 4, 0x00cff3000000ffff, EmulationKind.NotHandled);
        TestSegment(table, 5, 0x00cffb000001ffff, EmulationKind.NotHandled);
        TestSegment(table, 6, 0x004ffb0000000fff, EmulationKind.NotHandled);
        TestSegment(table, 7, 0, EmulationKind.NotHandled);
        Registers.Cs = 600 * 8 | 3;
        AssertNotHandled(0x0f, 0x31);
        Registers.Cs = 2 * 8 | 7;
        AssertNotHandled(0x0f, 0x31);
        Registers.Cs = Selector.FlatCode32;
        AssertDone(0x0f, 0x31);

        // No REX prefixes there: this is INC.
        AssertNotHandled(0x48, 0x0f, 0x31);
    }

    private void TestSegment(ulong table, int entry, ulong descriptor, EmulationKind expected)
    {
        Assert.Equal(0, Core.Memory.GuestDescriptorTable.Set(_guest.Vcpu, default, 0));
        PhysicalMemory.FrameAs<ulong>(table)[entry] = descriptor;
        Assert.Equal(0, Core.Memory.GuestDescriptorTable.Set(_guest.Vcpu, [table], 512));
        Registers.Cs = (ushort)(entry * 8 | 3);
        Assert.Equal(expected, Run(0x0f, 0x31));
    }
}
