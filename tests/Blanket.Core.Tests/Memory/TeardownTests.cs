using System;
using Blanket.Abi.Xen;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Memory;

/// <summary>Destroying domains in all kinds of states.</summary>
public sealed class TeardownTests
{
    private readonly TestMachine _machine = new();
    private readonly ulong _freeAtStart = FrameAllocator.FreeFrames;
    private readonly TestGuest _guest;

    public TeardownTests()
    {
        _guest = new TestGuest(_machine, 1, 32);
        _guest.BuildTree(_guest.Frames[4]);
        for (int i = 0; i < 8; i++)
        {
            TestGuest.Set(F(2), 100 + i, TestGuest.Entry(F(8 + i), TestGuest.WritableFlags));
            TestGuest.Set(F(8 + i), i, TestGuest.Entry(F(20 + i), TestGuest.WritableFlags));
        }
    }

    private ulong F(int index) => _guest.Frames[index];

    private void AssertGone()
    {
        Assert.True(_guest.Domain.OwnsNoFrames);
        Assert.Equal(_freeAtStart, FrameAllocator.FreeFrames + (1UL << VcpuState.Order));
        TestMachine.AssertScrubbed();
        _machine.Audit();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ARunningGuestGoesAway(bool preempted)
    {
        Assert.Equal(0, RootTable.Install(_guest.Vcpu, F(0)));
        TlbFlush.EnterVcpu(_guest.Vcpu);
        _guest.Store<ulong>(TestGuest.ArgumentBase, [F(30)]);
        Assert.Equal(0, _guest.Call(GuestDescriptorTable.Handle, TestGuest.ArgumentBase, 100));
        Assert.Equal(0, _guest.Extended(MmuExtendedCommand.SetLdt, 0, 100));
        Assert.Equal(0, _guest.UpdateVa(0, TestGuest.Entry(F(29), TestGuest.Flags)));
        Assert.True(LocalDescriptorTable.TryMap(_guest.Vcpu, 0));
        Assert.True(MemoryMaps.TrySetLimit(_guest.Domain, 1 << 20));
        _machine.Destroy(_guest.Domain, preempted ? new Random(1) : null);
        AssertGone();
    }

    /// <summary>Teardown comes to its end even when other work waits all the time.</summary>
    [Fact]
    public void EachGoTakesAStep()
    {
        Assert.Equal(0, RootTable.Install(_guest.Vcpu, F(0)));
        _machine.Destroy(_guest.Domain, new AlwaysBusy());
        AssertGone();
    }

    private sealed class AlwaysBusy : Random
    {
        public override int Next(int maxValue) => 0;
    }

    /// <summary>What an abandoned handler left behind is found by recounting; what somebody holds stays.</summary>
    [Fact]
    public void ReferencesThatNobodyHoldsAreDropped()
    {
        Assert.Equal(0, RootTable.Install(_guest.Vcpu, F(0)));
        TestGuest other = new(_machine, 2, 5);
        ulong otherMemory = other.Domain.FrameCount + (1UL << VcpuState.Order);
        other.Domain.MayManageMemory = true;
        other.BuildTree(other.Frames[4]);
        Assert.Equal(0, other.Pin(other.Frames[0], 4));
        Assert.Equal(0, other.MmuUpdate(TestGuest.EntryAddress(other.Frames[3], 7), TestGuest.Entry(F(31), TestGuest.WritableFlags), _guest.Domain.Id));
        Assert.True(FrameReference.TryGet(_guest.Domain, F(29)));
        Assert.True(FrameReference.TryGetWritable(_guest.Domain, F(30)));
        Assert.True(FrameReference.TryGetWritable(_guest.Domain, F(31)));
        _machine.Destroy(_guest.Domain);
        Assert.Equal(3UL, _guest.Domain.FrameCount);
        Assert.Equal(3, MemoryAudit.Reconcile(_guest.Domain));
        Assert.Equal(1UL, _guest.Domain.FrameCount);
        Assert.Equal(0, MemoryAudit.Reconcile(_guest.Domain));
        _machine.Audit();
        Assert.Equal(0, other.MmuUpdate(TestGuest.EntryAddress(other.Frames[3], 7), 0));
        FrameQuarantine.Drain();
        Assert.True(_guest.Domain.OwnsNoFrames);
        Assert.Equal(_freeAtStart, FrameAllocator.FreeFrames + (1UL << VcpuState.Order) + otherMemory);
        _machine.Audit();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(5)]
    public void PartialTablesGoAway(int goes)
    {
        _guest.Preempted = () => true;
        Assert.Equal(-Errno.ERESTART, _guest.Pin(F(0), 4, goes));
        _machine.Destroy(_guest.Domain, new Random(goes));
        AssertGone();
    }

    [Fact]
    public void PendingTablesGoAway()
    {
        Assert.Equal(0, RootTable.Install(_guest.Vcpu, F(0)));
        Assert.Equal(0, _guest.Unpin(F(0)));
        _guest.Preempted = () => true;
        Assert.Equal(-Errno.ERESTART, _guest.MmuUpdateOnce(TestGuest.EntryAddress(F(1), 0), 0));
        Assert.NotEqual(0UL, _guest.Vcpu.PendingTableFrame);
        _machine.Audit();
        _machine.Destroy(_guest.Domain, new Random(7));
        AssertGone();
    }

    [Fact]
    public void LinearTablesGoAway()
    {
        Assert.Equal(0, _guest.Pin(F(0), 4));
        TestGuest.Set(F(5), 1, TestGuest.Entry(F(0), TestGuest.Flags));
        TestGuest.Set(F(5), 2, TestGuest.Entry(F(5), TestGuest.Flags));
        Assert.Equal(0, _guest.Pin(F(5), 4));
        Assert.Equal(0, _guest.Extended(MmuExtendedCommand.NewBasePointer, F(5)));
        _machine.Destroy(_guest.Domain, new AlwaysBusy(), auditsEachGo: true);
        AssertGone();
    }

    [Fact]
    public void FramesThatOthersHoldStayUntilTheyLetGo()
    {
        Assert.Equal(0, RootTable.Install(_guest.Vcpu, F(0)));
        Assert.True(FrameReference.TryGetWritable(_guest.Domain, F(4)));
        _machine.Destroy(_guest.Domain);
        Assert.Equal(1UL, _guest.Domain.FrameCount);
        Assert.False(FrameReference.TryGet(_guest.Domain, F(5)));
        FrameReference.PutWritable(F(4));
        AssertGone();
    }

    [Fact]
    public void SharedFramesAreTheSharersToWithdraw()
    {
        Assert.True(FrameAllocator.TryAllocateZeroed(out ulong writable));
        Assert.True(FrameAllocator.TryAllocateZeroed(out ulong constant));
        SharedFrames.Share(writable, _guest.Domain, false);
        SharedFrames.Share(constant, _guest.Domain, true);
        Assert.Equal(0, RootTable.Install(_guest.Vcpu, F(0)));
        Assert.Equal(0, _guest.UpdateVa(0x5000, TestGuest.Entry(writable, TestGuest.WritableFlags)));
        Assert.Equal(-Errno.EBUSY, _guest.UpdateVa(0x6000, TestGuest.Entry(constant, TestGuest.WritableFlags)));
        Assert.Equal(0, _guest.UpdateVa(0x6000, TestGuest.Entry(constant, TestGuest.Flags)));
        Assert.Equal(-Errno.EINVAL, _guest.Pin(writable, 1));
        Assert.Equal(-Errno.EINVAL, _guest.Pin(constant, 1));
        _machine.Audit();
        _machine.Destroy(_guest.Domain);
        Assert.Equal((0UL, 2UL), (_guest.Domain.FrameCount, _guest.Domain.SharedFrameCount));
        Assert.Equal(0, SharedFrames.Withdraw(writable, _guest.Domain));
        Assert.Equal(0, SharedFrames.Withdraw(constant, _guest.Domain));
        Assert.Equal(-Errno.EINVAL, SharedFrames.Withdraw(constant, _guest.Domain));
        AssertGone();
    }

    [Fact]
    public void ASharedFrameOutlivesItsMappings()
    {
        Assert.True(FrameAllocator.TryAllocateZeroed(out ulong shared));
        SharedFrames.Share(shared, _guest.Domain, false);
        Assert.Equal(0, RootTable.Install(_guest.Vcpu, F(0)));
        Assert.Equal(0, _guest.UpdateVa(0x5000, TestGuest.Entry(shared, TestGuest.WritableFlags)));
        Assert.Equal(0, SharedFrames.Withdraw(shared, _guest.Domain));
        Assert.Equal(1UL, _guest.Domain.SharedFrameCount);
        Assert.Equal(0, _guest.UpdateVa(0x5000, 0));
        Assert.Equal(0UL, _guest.Domain.SharedFrameCount);
        _machine.Audit();
    }

    [Fact]
    public void TablesLeftByAnAbandonedHandlerAreUndone()
    {
        // As if the handler had ended in the middle of an L1 table: type taken, two entries done.
        ref FrameInfo info = ref FrameTable.Of(F(8));
        TestGuest.Set(F(8), 1, TestGuest.Entry(F(21), TestGuest.WritableFlags));
        info.Type = FrameType.L1Table | 1;
        TableProgress.Set(ref info, 2, false);
        Assert.True(FrameReference.TryGetWritable(_guest.Domain, F(20)));
        Assert.True(FrameReference.TryGetWritable(_guest.Domain, F(21)));
        _machine.Destroy(_guest.Domain);
        AssertGone();
    }

    [Fact]
    public void NothingNewIsGivenToADyingDomain()
    {
        _guest.Domain.MaximumFrames = 100;
        _guest.Domain.IsDying = true;
        Assert.False(FrameOwnership.TryAllocate(_guest.Domain, out _));
        Assert.False(MemoryMaps.TrySetLimit(_guest.Domain, 1 << 20));
        _machine.Destroy(_guest.Domain);
        AssertGone();
    }
}
