using System;
using Blanket.Abi.Xen;
using Blanket.Core.Emulation;
using Blanket.Core.Memory;
using Blanket.Core.Tests.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Emulation;

public class PageTableStoreTests
{
    private const ulong Slot = EmulationGuest.Table + EmulationGuest.FreeSlot * 8;
    private readonly EmulationGuest _guest = new();

    private EmulationResult Run(ulong address, uint errorCode, params byte[] code)
    {
        _guest.SetTable([]);
        _guest.SetCode(code);
        return _guest.Store(address, errorCode);
    }

    private ulong Entry(int slot) => TestGuest.Get(_guest.TableFrame, EmulationGuest.FreeSlot + slot);

    [Fact]
    public void PresentEntriesAreCheckedAndCounted()
    {
        ulong frame = _guest.Guest.Frames[4];
        ulong before = TestGuest.References(frame);
        _guest.Registers.Rdi = Slot;
        _guest.Registers.Rax = TestGuest.Entry(frame, TestGuest.WritableFlags);
        Assert.Equal(EmulationKind.Done, Run(Slot, 3, 0x48, 0x89, 0x07).Kind);
        Assert.Equal(frame, PageTableEntry.Frame(Entry(0)));
        Assert.Equal(before + 1, TestGuest.References(frame));
        Assert.Equal(FrameType.Writable, TestGuest.TypeOf(frame));

        // btr $1: what ptep_set_wrprotect does.
        Assert.Equal(EmulationKind.Done, Run(Slot, 3, 0xf0, 0x48, 0x0f, 0xba, 0x37, 0x01).Kind);
        Assert.Equal(0UL, Entry(0) & PageTableEntry.Writable);
        Assert.Equal(0UL, TestGuest.TypeCount(frame));
        Assert.Equal(1UL, _guest.Registers.Rflags & 1);

        // xchg with 0: what ptep_get_and_clear does.
        _guest.Registers.Rax = 0;
        Assert.Equal(EmulationKind.Done, Run(Slot, 3, 0x48, 0x87, 0x07).Kind);
        Assert.Equal(frame, PageTableEntry.Frame(_guest.Registers.Rax));
        Assert.Equal(0UL, Entry(0));
        Assert.Equal(before, TestGuest.References(frame));
        _guest.Machine.Audit();
    }

    [Fact]
    public void EntriesThatAreNotAllowedLeaveTheFaultToTheGuest()
    {
        _guest.Registers.Rdi = Slot;
        _guest.Registers.Rax = TestGuest.Entry(_guest.TableFrame, TestGuest.WritableFlags);
        Assert.Equal(EmulationKind.NotHandled, Run(Slot, 3, 0x48, 0x89, 0x07).Kind);
        _guest.Registers.Rax = TestGuest.Entry(1, TestGuest.Flags);
        Assert.Equal(EmulationKind.NotHandled, Run(Slot, 3, 0x48, 0x87, 0x07).Kind);
        Assert.Equal(0UL, Entry(0));
        Assert.Equal(EmulationGuest.Code, _guest.Registers.Rip);
        _guest.Machine.Audit();
    }

    [Fact]
    public void OnlyKernelWritesToReadOnlyTablesAreLookedAt()
    {
        _guest.Registers.Rdi = Slot;
        byte[] store = [0x48, 0x89, 0x07];
        Assert.Equal(EmulationKind.NotHandled, Run(Slot, 2, store).Kind);
        Assert.Equal(EmulationKind.NotHandled, Run(Slot, 1, store).Kind);
        Assert.Equal(EmulationKind.NotHandled, Run(Slot, 0xb, store).Kind);
        Assert.Equal(EmulationKind.NotHandled, Run(Slot, 0x13, store).Kind);
        Assert.Equal(EmulationKind.NotHandled, Run(EmulationGuest.Code, 3, store).Kind);
        Assert.Equal(EmulationKind.Done, Run(Slot, 7, store).Kind);
        _guest.Vcpu.State.InKernel = 0;
        Assert.Equal(EmulationKind.NotHandled, Run(Slot, 7, store).Kind);
        _guest.Vcpu.State.InKernel = 1;
        _guest.Guest.Domain.SetVmAssist(MmuVmAssist.WritablePageTables, false);
        Assert.Equal(EmulationKind.NotHandled, Run(Slot, 3, store).Kind);
    }

    [Fact]
    public void StoresOffThePageThatFaultedAreNotDone()
    {
        _guest.Registers.Rdi = Slot + Cpu.PageSize;
        Assert.Equal(EmulationKind.NotHandled, Run(Slot, 3, 0x48, 0x89, 0x07).Kind);
        _guest.Registers.Rdi = Slot;
        Assert.Equal(EmulationKind.NotHandled, Run(Slot, 3, 0xf0, 0x48, 0x89, 0x07).Kind);
        Assert.Equal(EmulationKind.NotHandled, Run(Slot, 3, 0x0f, 0x29, 0x07).Kind);
        Assert.Equal(EmulationKind.NotHandled, Run(Slot, 3, 0x48, 0x0f, 0xc7, 0x0f).Kind);
        Assert.Equal(EmulationKind.NotHandled, Run(Slot, 3, 0x48, 0xf7, 0x07, 1, 0, 0, 0).Kind);
    }

    [Fact]
    public void SegmentBasesAreAdded()
    {
        Cpu.WriteMsr(Msr.GsBase, Slot);
        Cpu.WriteMsr(Msr.FsBase, Slot + 0x100);
        _guest.Registers.Rdi = 8;
        _guest.Registers.Rax = 0x1230;
        Assert.Equal(EmulationKind.Done, Run(Slot + 8, 3, 0x65, 0x48, 0x89, 0x07).Kind);
        Assert.Equal(0x1230UL, Entry(1));
        Assert.Equal(EmulationKind.Done, Run(Slot, 3, 0x64, 0x48, 0x89, 0x07).Kind);
        Assert.Equal(0x1230UL, Entry(0x21));
        _guest.Registers.Rdi = 0xffff_ffff_0000_0010;
        Assert.Equal(EmulationKind.Done, Run(Slot, 3, 0x65, 0x67, 0x48, 0x89, 0x07).Kind);
        Assert.Equal(0x1230UL, Entry(2));
    }

    [Fact]
    public void AbsoluteAddressesAndStrings()
    {
        _guest.Registers.Rax = 0x4560;
        byte[] absolute = [0x48, 0xa3, .. BitConverter.GetBytes(Slot + 16)];
        Assert.Equal(EmulationKind.Done, Run(Slot, 3, absolute).Kind);
        Assert.Equal(0x4560UL, Entry(2));
        Assert.Equal(EmulationGuest.Code + 10, _guest.Registers.Rip);

        // rep stosq goes one element at a time.
        _guest.Registers.Rdi = Slot;
        _guest.Registers.Rcx = 2;
        _guest.Registers.Rax = 0x7890;
        Assert.Equal(EmulationKind.Done, Run(Slot, 3, 0xf3, 0x48, 0xab).Kind);
        Assert.Equal(EmulationGuest.Code, _guest.Registers.Rip);
        Assert.Equal((1UL, Slot + 8), (_guest.Registers.Rcx, _guest.Registers.Rdi));
        Assert.Equal(EmulationKind.Done, _guest.Store(Slot + 8).Kind);
        Assert.Equal(EmulationGuest.Code + 3, _guest.Registers.Rip);
        Assert.Equal((0UL, Slot + 16), (_guest.Registers.Rcx, _guest.Registers.Rdi));
        Assert.Equal((0x7890UL, 0x7890UL, 0x4560UL), (Entry(0), Entry(1), Entry(2)));

        // movsq from memory, backwards.
        BitConverter.TryWriteBytes(_guest.Memory[0x2000..], 0xabc0UL);
        _guest.Registers.Rsi = EmulationGuest.Code + 0x2000;
        _guest.Registers.Rdi = Slot + 24;
        _guest.Registers.Rflags |= 0x400;
        Assert.Equal(EmulationKind.Done, Run(Slot, 3, 0x48, 0xa5).Kind);
        Assert.Equal(0xabc0UL, Entry(3));
        Assert.Equal((EmulationGuest.Code + 0x1ff8, Slot + 16), (_guest.Registers.Rsi, _guest.Registers.Rdi));
        _guest.Registers.Rsi = EmulationGuest.Code + NativeCpu.MemorySize;
        EmulationResult fault = Run(Slot, 3, 0x48, 0xa5);
        Assert.Equal(EmulationKind.InjectPageFault, fault.Kind);
        Assert.Equal(EmulationGuest.Code + NativeCpu.MemorySize, fault.Address);
    }
}
