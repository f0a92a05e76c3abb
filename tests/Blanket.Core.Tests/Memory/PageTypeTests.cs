using System;
using Blanket.Abi.Xen;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Memory;

/// <summary>The rules of page types, one by one.</summary>
public sealed class PageTypeTests
{
    private readonly TestMachine _machine = new();
    private readonly TestGuest _guest;

    public PageTypeTests()
    {
        _guest = new TestGuest(_machine, 1, 32, 2);
        _guest.BuildTree(_guest.Frames[4]);
    }

    private ulong F(int index) => _guest.Frames[index];

    [Fact]
    public void PinningARootValidatesTheTreeBelow()
    {
        Assert.Equal(0, _guest.Pin(F(0), 4));

        Assert.Equal(FrameType.L4Table, TestGuest.TypeOf(F(0)));
        Assert.Equal(FrameType.L3Table, TestGuest.TypeOf(F(1)));
        Assert.Equal(FrameType.L2Table, TestGuest.TypeOf(F(2)));
        Assert.Equal(FrameType.L1Table, TestGuest.TypeOf(F(3)));
        Assert.Equal(FrameType.Writable, TestGuest.TypeOf(F(4)));
        for (int i = 0; i < 5; i++)
        {
            Assert.Equal(1UL, TestGuest.TypeCount(F(i)));
            Assert.Equal(2UL, TestGuest.References(F(i)));
        }

        _machine.Audit();
    }

    [Fact]
    public void UnpinningUndoesIt()
    {
        _guest.Pin(F(0), 4);
        Assert.Equal(0, _guest.Unpin(F(0)));

        for (int i = 0; i < 5; i++)
        {
            Assert.Equal(0UL, TestGuest.TypeCount(F(i)));
            Assert.Equal(1UL, TestGuest.References(F(i)));
        }

        Assert.Equal(-Errno.EINVAL, _guest.Unpin(F(0)));
        _machine.Audit();
    }

    [Fact]
    public void ATableCannotBePinnedTwice()
    {
        Assert.Equal(0, _guest.Pin(F(0), 4));
        Assert.Equal(-Errno.EINVAL, _guest.Pin(F(0), 4));
        Assert.Equal(0, _guest.Unpin(F(0)));
        _machine.Audit();
    }

    [Fact]
    public void AWritableFrameCannotBecomeATable()
    {
        Assert.True(FrameReference.TryGetWritable(_guest.Domain, F(3)));
        Assert.Equal(-Errno.EINVAL, _guest.Pin(F(0), 4));
        Assert.Equal(0UL, TestGuest.TypeCount(F(0)));
        FrameReference.PutWritable(F(3));
        Assert.Equal(0, _guest.Pin(F(0), 4));
        _machine.Audit();
    }

    [Fact]
    public void ATableCannotBecomeWritable()
    {
        _guest.Pin(F(0), 4);
        for (int i = 0; i < 4; i++)
        {
            Assert.False(FrameReference.TryGetWritable(_guest.Domain, F(i)));
            Assert.True(FrameReference.TryGet(_guest.Domain, F(i)));
            FrameReference.Put(F(i));
        }

        Assert.Equal(-Errno.EBUSY, _guest.MmuUpdate(TestGuest.EntryAddress(F(3), 1), TestGuest.Entry(F(3), TestGuest.WritableFlags)));
        Assert.Equal(0, _guest.MmuUpdate(TestGuest.EntryAddress(F(3), 1), TestGuest.Entry(F(3), TestGuest.Flags)));
        _machine.Audit();
    }

    [Theory]
    [InlineData(1, PageTableEntry.WriteThrough)]
    [InlineData(1, PageTableEntry.CacheDisable)]
    [InlineData(1, PageTableEntry.PageAttribute)]
    [InlineData(2, PageTableEntry.PageSize)]
    [InlineData(2, PageTableEntry.Global)]
    [InlineData(2, PageTableEntry.CacheDisable)]
    [InlineData(3, PageTableEntry.PageSize)]
    [InlineData(3, PageTableEntry.WriteThrough)]
    [InlineData(4, PageTableEntry.PageSize)]
    [InlineData(4, PageTableEntry.Global)]
    public void ForbiddenFlagsAreRefused(int level, ulong flag)
    {
        ulong table = F(4 - level);
        ulong good = TestGuest.Get(table, 0);
        TestGuest.Set(table, 0, good | flag);
        Assert.Equal(-Errno.EINVAL, _guest.Pin(F(0), 4));
        _machine.Audit();

        TestGuest.Set(table, 0, good);
        Assert.Equal(0, _guest.Pin(F(0), 4));
        Assert.Equal(-Errno.EINVAL, _guest.MmuUpdate(TestGuest.EntryAddress(table, 0), good | flag));
        Assert.Equal(-Errno.EINVAL, _guest.MmuUpdate(TestGuest.EntryAddress(table, 1), good | flag));
        _machine.Audit();
    }

    [Theory]
    [InlineData(PageTableEntry.Present, PageTableEntry.Present | PageTableEntry.User | PageTableEntry.GuestKernel)]
    [InlineData(PageTableEntry.Present | PageTableEntry.User, PageTableEntry.Present | PageTableEntry.User | PageTableEntry.Global)]
    [InlineData(
        PageTableEntry.Present | PageTableEntry.NoExecute | PageTableEntry.Available,
        PageTableEntry.Present | PageTableEntry.NoExecute | PageTableEntry.Available | PageTableEntry.User | PageTableEntry.GuestKernel)]
    [InlineData(
        PageTableEntry.Present | PageTableEntry.User | PageTableEntry.GuestKernel,
        PageTableEntry.Present | PageTableEntry.User | PageTableEntry.GuestKernel)]
    public void L1EntriesAreAdjusted(ulong flags, ulong expected)
    {
        TestGuest.Set(F(3), 0, TestGuest.Entry(F(4), flags));
        Assert.Equal(0, _guest.Pin(F(0), 4));
        Assert.Equal(TestGuest.Entry(F(4), expected), TestGuest.Get(F(3), 0));
        Assert.Equal(0, _guest.MmuUpdate(TestGuest.EntryAddress(F(3), 9), TestGuest.Entry(F(4), flags)));
        Assert.Equal(TestGuest.Entry(F(4), expected), TestGuest.Get(F(3), 9));
    }

    [Fact]
    public void UpperEntriesBecomeUserEntries()
    {
        TestGuest.Set(F(0), 0, TestGuest.Entry(F(1), PageTableEntry.Present | PageTableEntry.Writable));
        TestGuest.Set(F(1), 0, TestGuest.Entry(F(2), PageTableEntry.Present | PageTableEntry.Writable));
        Assert.Equal(0, _guest.Pin(F(0), 4));
        Assert.Equal(
            TestGuest.Entry(F(1), PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.User | PageTableEntry.Accessed),
            TestGuest.Get(F(0), 0));
        Assert.Equal(
            TestGuest.Entry(F(2), PageTableEntry.Present | PageTableEntry.Writable | PageTableEntry.User), TestGuest.Get(F(1), 0));
    }

    [Fact]
    public void RootTablesGetTheHypervisorsSlotsAndLoseThem()
    {
        TestGuest.Set(F(0), 256, TestGuest.Entry(F(4), TestGuest.WritableFlags));
        TestGuest.Set(F(0), 262, TestGuest.Entry(F(4), TestGuest.WritableFlags));
        Assert.Equal(0, _guest.Pin(F(0), 4));
        Assert.Equal(0UL, TestGuest.Get(F(0), 256));
        for (int slot = 257; slot < 272; slot++)
        {
            Assert.Equal(TestMachine.Slots[slot - 256], TestGuest.Get(F(0), slot));
        }

        Assert.Equal(-Errno.EINVAL, _guest.MmuUpdate(TestGuest.EntryAddress(F(0), 256), 0));
        Assert.Equal(-Errno.EINVAL, _guest.MmuUpdate(TestGuest.EntryAddress(F(0), 271), 0));
        Assert.Equal(0, _guest.MmuUpdate(TestGuest.EntryAddress(F(0), 272), TestGuest.Entry(F(1), TestGuest.WritableFlags)));
        Assert.Equal(0, _guest.Extended(MmuExtendedCommand.NewBasePointer, F(0)));
        Assert.Equal(TestMachine.Slots[0], TestGuest.Get(F(0), 256));
        _machine.Audit();

        Assert.Equal(0, _guest.Unpin(F(0)));
        TestGuest.Set(F(8), 0, TestGuest.Entry(F(1), TestGuest.WritableFlags));
        Assert.Equal(0, _guest.Extended(MmuExtendedCommand.NewBasePointer, F(8)));
        Assert.Equal(0UL, TestGuest.TypeCount(F(0)));
        for (int slot = 256; slot < 272; slot++)
        {
            Assert.Equal(0UL, TestGuest.Get(F(0), slot));
        }

        _machine.Audit();
    }

    [Fact]
    public void StrictMachineToPhysicalHidesItFromUserRoots()
    {
        Assert.Equal(
            0, _guest.Call(VmAssistHypercall.Handle, MmuVmAssist.Enable, (ulong)MmuVmAssist.StrictMachineToPhysical));
        Assert.Equal(0, _guest.Pin(F(0), 4));
        Assert.Equal(TestMachine.Slots[0], TestGuest.Get(F(0), 256));
        Assert.Equal(0, _guest.Extended(MmuExtendedCommand.NewUserBasePointer, F(0)));
        Assert.Equal(0UL, TestGuest.Get(F(0), 256));
    }

    [Fact]
    public void SelfReferencesOfARootHoldNothing()
    {
        TestGuest.Set(F(0), 5, TestGuest.Entry(F(0), TestGuest.Flags));
        Assert.Equal(0, _guest.Pin(F(0), 4));
        Assert.Equal(1UL, TestGuest.TypeCount(F(0)));
        _machine.Audit();
        Assert.Equal(0, _guest.Unpin(F(0)));
        Assert.Equal(0UL, TestGuest.TypeCount(F(0)));
        _machine.Audit();
    }

    [Fact]
    public void WritableSelfReferencesAreRefused()
    {
        TestGuest.Set(F(0), 5, TestGuest.Entry(F(0), TestGuest.WritableFlags));
        Assert.Equal(-Errno.EINVAL, _guest.Pin(F(0), 4));
        _machine.Audit();
    }

    [Fact]
    public void LinearTablesDoNotChain()
    {
        // F(5) and F(6) are further roots.
        Assert.Equal(0, _guest.Pin(F(0), 4));
        TestGuest.Set(F(5), 1, TestGuest.Entry(F(0), TestGuest.Flags));
        Assert.Equal(0, _guest.Pin(F(5), 4));
        _machine.Audit();

        // F(5) has a linear entry, so it cannot be the target of one; F(0) is a target, so it cannot have one.
        TestGuest.Set(F(6), 1, TestGuest.Entry(F(5), TestGuest.Flags));
        Assert.Equal(-Errno.EINVAL, _guest.Pin(F(6), 4));
        Assert.Equal(-Errno.EINVAL, _guest.MmuUpdate(TestGuest.EntryAddress(F(0), 3), TestGuest.Entry(F(5), TestGuest.Flags)));
        _machine.Audit();

        Assert.Equal(0, _guest.Unpin(F(0)));
        Assert.Equal(FrameType.L4Table | 1, TestGuest.TypeOf(F(0)) | TestGuest.TypeCount(F(0)));
        Assert.Equal(0, _guest.Unpin(F(5)));
        Assert.Equal(0UL, TestGuest.TypeCount(F(0)));
        _machine.Audit();
    }

    [Fact]
    public void ALinearEntryWhoseUndoWasSuspendedCanBecomeWholeAgain()
    {
        // F(6), kept only by the linear entry of F(5), has tables below it, so that its undo can be suspended.
        TestGuest.Set(F(6), 0, TestGuest.Entry(F(1), TestGuest.WritableFlags));
        for (int i = 1; i < 5; i++)
        {
            TestGuest.Set(F(6), i, TestGuest.Entry(F(16 + i), TestGuest.WritableFlags));
        }

        Assert.Equal(0, _guest.Pin(F(6), 4));
        TestGuest.Set(F(5), 1, TestGuest.Entry(F(6), TestGuest.Flags));
        Assert.Equal(0, _guest.Pin(F(5), 4));
        Assert.Equal(0, _guest.Unpin(F(6)));
        _guest.Preempted = () => true;
        Assert.Equal(-Errno.ERESTART, _guest.Extended(MmuExtendedCommand.UnpinTable, F(5), maximumGoes: 1));
        Assert.NotEqual(0UL, FrameTable.Of(F(5)).Type & FrameType.Partial);
        Assert.NotEqual(0UL, FrameTable.Of(F(6)).Type & FrameType.Partial);
        _machine.Audit();

        // Another vCPU wants both again.
        _guest.Preempted = null;
        _guest.Use(1);
        Assert.Equal(0, _guest.Pin(F(6), 4));
        _machine.Audit();
        Assert.Equal(0, _guest.Pin(F(5), 4));
        Assert.Equal(2UL, TestGuest.TypeCount(F(6)));
        _machine.Audit();

        _guest.Use(0);
        Assert.Equal(0, _guest.Extended(MmuExtendedCommand.TlbFlushLocal));
        Assert.Equal(0UL, _guest.Vcpu.PendingTableFrame);
        _machine.Audit();
    }

    [Fact]
    public void AFailedValidationIsUndoneCompletely()
    {
        // 40 good L1 tables would do; the bad entry is the last of the last one.
        for (int i = 0; i < 8; i++)
        {
            TestGuest.Set(F(2), 100 + i, TestGuest.Entry(F(8 + i), TestGuest.WritableFlags));
            TestGuest.Set(F(8 + i), i, TestGuest.Entry(F(20 + i), TestGuest.WritableFlags));
        }

        TestGuest.Set(F(15), 511, TestGuest.Entry(FrameTable.Limit + 5, TestGuest.Flags));
        Assert.Equal(-Errno.EPERM, _guest.Pin(F(0), 4));
        foreach (ulong frame in _guest.Frames)
        {
            Assert.Equal(0UL, TestGuest.TypeCount(frame));
            Assert.Equal(1UL, TestGuest.References(frame));
        }

        _machine.Audit();
    }

    [Fact]
    public void APreemptedPinGoesOnAndEnds()
    {
        for (int i = 0; i < 8; i++)
        {
            TestGuest.Set(F(2), 100 + i, TestGuest.Entry(F(8 + i), TestGuest.WritableFlags));
        }

        _guest.Preempted = () => true;
        Assert.Equal(0, _guest.Pin(F(0), 4));
        _machine.Audit();
        Assert.Equal(0, _guest.Unpin(F(0)));
        _machine.Audit();
        Assert.Equal(0UL, TestGuest.TypeCount(F(15)));
    }

    [Fact]
    public void AGivenUpPinLeavesAPartialTableThatAnotherVcpuCompletes()
    {
        for (int i = 0; i < 8; i++)
        {
            TestGuest.Set(F(2), 100 + i, TestGuest.Entry(F(8 + i), TestGuest.WritableFlags));
        }

        _guest.Preempted = () => true;
        Assert.Equal(-Errno.ERESTART, _guest.Pin(F(0), 4, maximumGoes: 2));
        Assert.NotEqual(0UL, FrameTable.Of(F(0)).Type & FrameType.Partial);
        Assert.NotEqual(0UL, FrameTable.Of(F(2)).Type & FrameType.Partial);
        _machine.Audit();

        // While it is partial nobody writes its entries.
        Assert.Equal(-Errno.EINVAL, _guest.MmuUpdate(TestGuest.EntryAddress(F(2), 3), 0));
        _guest.Preempted = null;
        Assert.Equal(0, _guest.Extended(MmuExtendedCommand.NewUserBasePointer, F(0)));
        Assert.Equal(0UL, FrameTable.Of(F(0)).Type & FrameType.Partial);
        _machine.Audit();
    }

    [Fact]
    public void TheResultOfABatchSurvivesItsPendingTable()
    {
        for (int i = 0; i < 8; i++)
        {
            TestGuest.Set(F(2), 100 + i, TestGuest.Entry(F(8 + i), TestGuest.WritableFlags));
        }

        TestGuest.Set(F(2), 200, TestGuest.Entry(F(4), TestGuest.WritableFlags) | PageTableEntry.PageSize);
        _guest.Preempted = () => true;
        Assert.Equal(-Errno.EINVAL, _guest.Pin(F(0), 4));
        Assert.Equal(0UL, _guest.Vcpu.PendingTableFrame);
        foreach (ulong frame in _guest.Frames)
        {
            Assert.Equal(0UL, TestGuest.TypeCount(frame));
        }

        _machine.Audit();
    }

    [Fact]
    public void CountsDoNotOverflow()
    {
        ref FrameInfo info = ref FrameTable.Of(F(4));
        ulong saved = info.Count;
        info.Count = ReferenceCount.Allocated | (ReferenceCount.Mask - 1);
        Assert.False(FrameReference.TryGet(_guest.Domain, F(4)));
        Assert.Equal(ReferenceCount.Allocated | (ReferenceCount.Mask - 1), info.Count);
        info.Count = saved;

        Assert.True(FrameReference.TryGetWritable(_guest.Domain, F(4)));
        ulong type = info.Type;
        info.Type |= FrameType.CountMask;
        Assert.False(FrameReference.TryGetWritable(_guest.Domain, F(4)));
        Assert.Equal(type | FrameType.CountMask, info.Type);
        info.Type = type;
        FrameReference.PutWritable(F(4));

        Assert.Equal(0, _guest.Pin(F(0), 4));
        ref FrameInfo table = ref FrameTable.Of(F(0));
        type = table.Type;
        table.Type |= FrameType.CountMask;
        Assert.Equal(-Errno.EINVAL, _guest.Extended(MmuExtendedCommand.NewBasePointer, F(0)));
        table.Type = type;
        _machine.Audit();
    }

    [Fact]
    public void AFrameGoesBackScrubbedWhenTheLastReferenceGoes()
    {
        ulong free = FrameAllocator.FreeFrames;
        PhysicalMemory.Frame(F(4)).Fill(0xaa);
        Assert.Equal(0, _guest.Pin(F(0), 4));
        _guest.Store<MemoryReservation>(
            TestGuest.ArgumentBase,
            [new() { ExtentStart = TestGuest.ArgumentBase + 0x100, ExtentCount = 1, DomainId = DomainId.Self }]);
        _guest.Store<ulong>(TestGuest.ArgumentBase + 0x100, [F(4)]);
        Assert.Equal(1, _guest.Memory(MemoryCommand.DecreaseReservation));
        Assert.Equal(free, FrameAllocator.FreeFrames);
        Assert.Equal(0xaa, PhysicalMemory.Frame(F(4))[0]);

        Assert.Equal(0, _guest.MmuUpdate(TestGuest.EntryAddress(F(3), 0), 0));
        Assert.Equal(free + 1, FrameAllocator.FreeFrames);
        Assert.Equal(31UL, _guest.Domain.FrameCount);
        TestMachine.AssertScrubbed();
        _machine.Audit();
    }
}
