using System;
using Blanket.Abi.Xen;
using Blanket.Core.Emulation;
using Blanket.Core.Processor;
using Blanket.Core.Tests.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Emulation;

public class PortTests
{
    private const ulong Buffer = EmulationGuest.Code + 0x2000;
    private const int BufferOffset = 0x2000;
    private readonly EmulationGuest _guest = new();

    public PortTests() => _guest.Vcpu.State.IoPrivilegeLevel = 1;

    private ref GuestRegisters Registers => ref _guest.Registers;

    private EmulationKind Run(params byte[] code)
    {
        _guest.SetCode(code);
        return _guest.Privileged().Kind;
    }

    [Fact]
    public void ReadsOfNothingAreAllOnes()
    {
        Registers.Rax = 0x1122334455667788;
        Registers.Rdx = 0x3f8;
        Assert.Equal(EmulationKind.Done, Run(0xec));
        Assert.Equal(0x11223344556677ffUL, Registers.Rax);
        Assert.Equal(EmulationKind.Done, Run(0x66, 0xed));
        Assert.Equal(0x112233445566ffffUL, Registers.Rax);
        Assert.Equal(EmulationKind.Done, Run(0xe5, 0x60));
        Assert.Equal(0xffffffffUL, Registers.Rax);
        Assert.Equal(EmulationKind.Done, Run(0x48, 0xe5, 0x60));
        Assert.Equal(EmulationGuest.Code + 3, Registers.Rip);
        Assert.Equal(EmulationKind.Done, Run(0xee));
    }

    [Fact]
    public void TwoLatchesKeepWhatWasWritten()
    {
        Registers.Rdx = 0xcf8;
        Registers.Rax = 0x80001234;
        Assert.Equal(EmulationKind.Done, Run(0xef));
        Registers.Rax = 0;
        Assert.Equal(EmulationKind.Done, Run(0xed));
        Assert.Equal(0x80001234UL, Registers.Rax);
        Registers.Rdx = 0xcfc;
        Run(0xed);
        Assert.Equal(0xffffffffUL, Registers.Rax);
        Registers.Rax = 0x8b;
        Run(0xe6, 0x70);
        Run(0xe4, 0x70);
        Assert.Equal(0x8bUL, Registers.Rax & 0xff);
        Registers.Rdx = 0x6f;
        Run(0xed);
        Assert.Equal(0xffff8bffUL, Registers.Rax);
    }

    [Fact]
    public void IntervalTimerStandsStill()
    {
        Registers.Rax = ulong.MaxValue;
        Assert.Equal(EmulationKind.Done, Run(0xe4, 0x42));
        Assert.Equal(0UL, Registers.Rax & 0xff);
        Run(0xe5, 0x41);
        Assert.Equal(0xffff0000UL, Registers.Rax);
        Run(0xe4, 0x61);
        Assert.Equal(0xffUL, Registers.Rax & 0xff);
    }

    [Fact]
    public void WithoutPrivilegeTheBitmapDecides()
    {
        _guest.Vcpu.State.IoPrivilegeLevel = 0;
        Registers.Rdx = 0x3f8;
        Assert.Equal(EmulationKind.NotHandled, Run(0xec));

        // The bitmap is in a frame that the page table maps.
        ulong frame = _guest.Guest.Frames[4];
        ulong address = EmulationGuest.Table + Cpu.PageSize;
        _guest.Guest.Use(0);
        Assert.Equal(0, _guest.Guest.MmuUpdate(
            TestGuest.EntryAddress(_guest.TableFrame, (int)(address >> 12 & 511)), TestGuest.Entry(frame, TestGuest.WritableFlags)));
        PhysicalMemory.Frame(frame).Fill(0xff);
        PhysicalMemory.Frame(frame)[0x3f8 / 8] = 0xfe;
        PhysicalMemory.Frame(frame)[0x3ff / 8 + 1] = 0xf8;
        _guest.Vcpu.IoBitmapAddress = address;
        _guest.Vcpu.IoBitmapPorts = 0x800;
        Assert.True(PortAccess.IsAllowed(_guest.Vcpu, 0x3f8, 1));
        Assert.False(PortAccess.IsAllowed(_guest.Vcpu, 0x3f8, 2));
        Assert.False(PortAccess.IsAllowed(_guest.Vcpu, 0x3f9, 1));
        Assert.True(PortAccess.IsAllowed(_guest.Vcpu, 0x400, 2));
        Assert.False(PortAccess.IsAllowed(_guest.Vcpu, 0x3ff, 2));
        _guest.Vcpu.State.InKernel = 0;
        Assert.True(PortAccess.IsAllowed(_guest.Vcpu, 0x3f8, 1));
        _guest.Vcpu.IoBitmapPorts = 0x3f8;
        Assert.False(PortAccess.IsAllowed(_guest.Vcpu, 0x3f8, 1));
    }

    [Fact]
    public void StringsFillMemoryAndCount()
    {
        Registers.Rdx = 0x1f0;
        Registers.Rcx = 5;
        Registers.Rdi = Buffer;
        Assert.Equal(EmulationKind.Done, Run(0xf3, 0x66, 0x6d));
        Assert.Equal(0UL, Registers.Rcx);
        Assert.Equal(Buffer + 10, Registers.Rdi);
        Assert.Equal(EmulationGuest.Code + 3, Registers.Rip);
        Assert.True(_guest.Memory.Slice(BufferOffset, 10).IndexOfAnyExcept((byte)0xff) < 0);
        Assert.Equal(0, _guest.Memory[BufferOffset + 10]);
        Registers.Rsi = Buffer + 8;
        Registers.Rcx = 2;
        Registers.Rflags |= 0x400;
        Assert.Equal(EmulationKind.Done, Run(0xf3, 0x6f));
        Assert.Equal(Buffer, Registers.Rsi);
        Registers.Rcx = 0;
        Assert.Equal(EmulationKind.Done, Run(0xf3, 0x6c));
        Assert.Equal(Buffer + 10, Registers.Rdi);
        Registers.Rcx = 7;
        Assert.Equal(EmulationKind.Done, Run(0x6e));
        Assert.Equal(7UL, Registers.Rcx);
        Assert.Equal(Buffer - 1, Registers.Rsi);
    }

    [Fact]
    public void LongStringsGiveWayToWhatWaits()
    {
        Registers.Rdx = 0x1f0;
        Registers.Rcx = 1000;
        Registers.Rdi = Buffer;
        PendingWork.Exists = true;
        Assert.Equal(EmulationKind.Done, Run(0xf3, 0x6c));
        Assert.Equal(999UL, Registers.Rcx);
        Assert.Equal(EmulationGuest.Code, Registers.Rip);
        PendingWork.Exists = false;
        int goes = 0;
        while (Registers.Rip == EmulationGuest.Code && goes++ < 100)
        {
            Assert.Equal(EmulationKind.Done, _guest.Privileged().Kind);
        }

        Assert.Equal(0UL, Registers.Rcx);
        Assert.Equal(Buffer + 1000, Registers.Rdi);
    }

    [Fact]
    public void StringFaultsSayWhereAndHowFarItGot()
    {
        ulong end = EmulationGuest.Code + NativeCpu.MemorySize;
        Registers.Rdx = 0x1f0;
        Registers.Rcx = 4;
        Registers.Rdi = end - 6;
        _guest.SetCode(0xf3, 0x6d);
        EmulationResult result = _guest.Privileged();
        Assert.Equal(EmulationKind.InjectPageFault, result.Kind);
        Assert.Equal(end, result.Address);
        Assert.Equal(2U, result.ErrorCode);
        Assert.Equal(3UL, Registers.Rcx);
        Assert.Equal(end - 2, Registers.Rdi);
        Registers.Rsi = end;
        _guest.SetCode(0x6e);
        result = _guest.Privileged();
        Assert.Equal(end, result.Address);
        Assert.Equal(0U, result.ErrorCode);
        Registers.Rsi = 0xffff800000000000;
        Assert.Equal(EmulationKind.InjectGeneralProtection, Run(0x6e));
    }

    [Fact]
    public void OutputTakesItsSegmentAndAddressSize()
    {
        Cpu.WriteMsr(Msr.GsBase, Buffer);
        Registers.Rdx = 0x70;
        Registers.Rsi = 0xffff_ffff_0000_0003;
        _guest.Memory[BufferOffset + 3] = 0x5a;
        Assert.Equal(EmulationKind.Done, Run(0x65, 0x67, 0x6e));
        Assert.Equal(4UL, Registers.Rsi);
        Assert.Equal(0x5a, _guest.Guest.Domain.CmosIndex);
    }

    [Fact]
    public void PortBreakpointsRaiseDebugExceptions()
    {
        _guest.Vcpu.GuestCr4 = ControlRegisters.DebugExtensions;
        Assert.Equal(0, DebugRegisters.TrySet(_guest.Vcpu, 3, 0x60));
        Assert.Equal(0, DebugRegisters.TrySet(_guest.Vcpu, 7, (2UL << 28) | 0x40));
        Assert.Equal(EmulationKind.InjectDebug, Run(0xe4, 0x60));
        Assert.Equal(EmulationGuest.Code + 2, Registers.Rip);
        Assert.True(DebugRegisters.TryGet(_guest.Vcpu, 6, out ulong status));
        Assert.Equal(8UL, status & 15);
        Assert.Equal(EmulationKind.Done, Run(0xe4, 0x61));
    }
}
