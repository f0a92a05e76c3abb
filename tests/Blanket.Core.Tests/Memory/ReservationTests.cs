using System;
using Blanket.Abi.Xen;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Memory;

/// <summary>memory_op as a guest sees it.</summary>
public sealed class ReservationTests
{
    private const ulong List = TestGuest.ArgumentBase + 0x1000;

    private readonly TestMachine _machine = new(2048);
    private readonly TestGuest _guest;
    private readonly TestGuest _other;

    public ReservationTests()
    {
        _guest = new TestGuest(_machine, 1, 16, 1, 700);
        _other = new TestGuest(_machine, 2, 4);
        _guest.Use(0);
    }

    private ulong F(int index) => _guest.Frames[index];

    private long Reserve(uint command, ulong count, uint order = 0, uint flags = 0, ushort domain = DomainId.Self, ulong start = 0)
    {
        _guest.Store<MemoryReservation>(
            TestGuest.ArgumentBase,
            [new() { ExtentStart = List, ExtentCount = count, ExtentOrder = order, Flags = flags, DomainId = domain }]);
        return _guest.Memory(command, TestGuest.ArgumentBase, start);
    }

    [Fact]
    public void PopulatingGivesZeroedFramesAndEntersThem()
    {
        _guest.Store<ulong>(List, [100, 101, 102]);
        Assert.Equal(3, Reserve(MemoryCommand.PopulatePhysmap, 3));
        for (int i = 0; i < 3; i++)
        {
            ulong frame = _guest.Load<ulong>(List + (ulong)i * 8);
            Assert.Equal(100UL + (ulong)i, MachineToPhysical.Get(frame));
            Assert.True(PhysicalMemory.Frame(frame).IndexOfAnyExcept((byte)0) < 0);
            Assert.True(FrameReference.TryGet(_guest.Domain, frame));
            FrameReference.Put(frame);
        }

        Assert.Equal(19UL, _guest.Domain.FrameCount);
        _machine.Audit();
    }

    [Fact]
    public void LargeExtentsAreContiguousAndAligned()
    {
        _guest.Store<ulong>(List, [0x1000]);
        Assert.Equal(1, Reserve(MemoryCommand.PopulatePhysmap, 1, 9));
        ulong frame = _guest.Load<ulong>(List);
        Assert.Equal(0UL, frame & 511);
        Assert.Equal(0x1000UL + 511, MachineToPhysical.Get(frame + 511));
        Assert.Equal(0, Reserve(MemoryCommand.PopulatePhysmap, 1, 10));
        _guest.Store<ulong>(List, [frame]);
        Assert.Equal(1, Reserve(MemoryCommand.DecreaseReservation, 1, 9));
        Assert.Equal(16UL, _guest.Domain.FrameCount);
        Assert.Equal(MachineToPhysical.Invalid, MachineToPhysical.Get(frame));
        TestMachine.AssertScrubbed();
        _machine.Audit();
    }

    [Fact]
    public void TheMaximumHolds()
    {
        _guest.Domain.MaximumFrames = 18;
        Assert.Equal(2, Reserve(MemoryCommand.IncreaseReservation, 5));
        Assert.Equal(18UL, _guest.Domain.FrameCount);
        Assert.Equal(0, Reserve(MemoryCommand.IncreaseReservation, 5));
        _machine.Audit();
    }

    [Fact]
    public void PreemptedReservationsGoOn()
    {
        _guest.Preempted = () => true;
        Assert.Equal(5, Reserve(MemoryCommand.IncreaseReservation, 5));
        Assert.Equal(21UL, _guest.Domain.FrameCount);
        ulong[] frames = new ulong[5];
        for (int i = 0; i < 5; i++)
        {
            frames[i] = _guest.Load<ulong>(List + (ulong)i * 8);
            Assert.DoesNotContain(frames[i], frames.AsSpan(0, i).ToArray());
        }

        Assert.Equal(5, Reserve(MemoryCommand.DecreaseReservation, 5));
        Assert.Equal(16UL, _guest.Domain.FrameCount);
        _machine.Audit();
    }

    [Fact]
    public void AddressWidthsAreKept()
    {
        // 20 bits: below 1 MiB, frames 0-255.
        Assert.Equal(1, Reserve(MemoryCommand.IncreaseReservation, 1, 0, 20));
        Assert.True(_guest.Load<ulong>(List) < 256);
        Assert.Equal(0, Reserve(MemoryCommand.IncreaseReservation, 1, 0, 12));
        Assert.Equal(0, Reserve(MemoryCommand.IncreaseReservation, 1, 0, MemoryReservation.ExactNode | 1 << 8));
        Assert.Equal(1, Reserve(MemoryCommand.IncreaseReservation, 1, 0, 1 << 8));
        _machine.Audit();
    }

    [Fact]
    public void WhatIsNotTheGuestsIsNotGivenUp()
    {
        ulong shared = Share();
        _guest.Store<ulong>(List, [_other.Frames[0]]);
        Assert.Equal(0, Reserve(MemoryCommand.DecreaseReservation, 1));
        _guest.Store<ulong>(List, [shared]);
        Assert.Equal(0, Reserve(MemoryCommand.DecreaseReservation, 1));
        _guest.Store<ulong>(List, [ulong.MaxValue]);
        Assert.Equal(0, Reserve(MemoryCommand.DecreaseReservation, 1));
        _guest.Store<ulong>(List, [F(0), F(0)]);
        Assert.Equal(1, Reserve(MemoryCommand.DecreaseReservation, 2));
        Assert.Equal(0, Reserve(MemoryCommand.DecreaseReservation, 1, 0, 0, 2));
        Assert.Equal(0, Reserve(MemoryCommand.PopulatePhysmap, 1, 0, MemoryReservation.PopulateOnDemand));
        Assert.Equal(0, SharedFrames.Withdraw(shared, _guest.Domain));
        _machine.Audit();
    }

    [Fact]
    public void ATableThatWasGivenUpStaysUntilItIsUnpinned()
    {
        ulong free = FrameAllocator.FreeFrames;
        Assert.Equal(0, _guest.Pin(F(5), 1));
        _guest.Store<ulong>(List, [F(5)]);
        Assert.Equal(1, Reserve(MemoryCommand.DecreaseReservation, 1));
        Assert.Equal(free, FrameAllocator.FreeFrames);
        _machine.Audit();
        Assert.Equal(0, _guest.Unpin(F(5)));
        Assert.Equal(free + 1, FrameAllocator.FreeFrames);
        _machine.Audit();
    }

    [Fact]
    public void ExchangingGivesContiguousFrames()
    {
        MemoryReservation single = new() { ExtentStart = List, ExtentCount = 8, ExtentOrder = 0, DomainId = DomainId.Self };
        MemoryExchange exchange = new()
        {
            In = single,
            Out = single with { ExtentStart = List + 0x100, ExtentCount = 2, ExtentOrder = 2 },
        };
        _guest.Store<MemoryExchange>(TestGuest.ArgumentBase, [exchange]);
        _guest.Store<ulong>(List, [F(0), F(1), F(2), F(3), F(4), F(5), F(6), F(7)]);
        _guest.Store<ulong>(List + 0x100, [40, 80]);
        _guest.Preempted = () => true;
        Assert.Equal(0, _guest.Memory(MemoryCommand.Exchange));
        Assert.Equal(8UL, _guest.Load<ulong>(TestGuest.ArgumentBase + MemoryExchange.ExchangedCountOffset));
        ulong frame = _guest.Load<ulong>(List + 0x108);
        Assert.Equal(0UL, frame & 3);
        Assert.Equal(83UL, MachineToPhysical.Get(frame + 3));
        Assert.Equal(16UL, _guest.Domain.FrameCount);
        Assert.False(FrameReference.TryGet(_guest.Domain, F(0)));
        TestMachine.AssertScrubbed();
        _machine.Audit();
    }

    [Fact]
    public void AFailedChunkIsGivenBackWithItsContents()
    {
        PhysicalMemory.Frame(F(1)).Fill(0x77);
        Assert.True(FrameReference.TryGet(_guest.Domain, F(2)));
        MemoryReservation single = new() { ExtentStart = List, ExtentCount = 4, ExtentOrder = 0, DomainId = DomainId.Self };
        MemoryExchange exchange = new()
        {
            In = single,
            Out = single with { ExtentStart = List + 0x100, ExtentCount = 2, ExtentOrder = 1 },
        };
        _guest.Store<MemoryExchange>(TestGuest.ArgumentBase, [exchange]);
        _guest.Store<ulong>(List, [F(4), F(5), F(1), F(2)]);
        Assert.Equal(-Errno.EINVAL, _guest.Memory(MemoryCommand.Exchange));
        Assert.Equal(2UL, _guest.Load<ulong>(TestGuest.ArgumentBase + MemoryExchange.ExchangedCountOffset));
        Assert.Equal(0x77, PhysicalMemory.Frame(F(1))[0]);
        FrameReference.Put(F(2));
        _machine.Audit();

        exchange.Out.ExtentCount = 3;
        _guest.Store<MemoryExchange>(TestGuest.ArgumentBase, [exchange]);
        Assert.Equal(-Errno.EINVAL, _guest.Memory(MemoryCommand.Exchange));
        exchange.Out.ExtentOrder = 10;
        _guest.Store<MemoryExchange>(TestGuest.ArgumentBase, [exchange]);
        Assert.Equal(-Errno.EPERM, _guest.Memory(MemoryCommand.Exchange));
    }

    [Fact]
    public void SizesAreTold()
    {
        _guest.Store<ushort>(TestGuest.ArgumentBase, [DomainId.Self]);
        Assert.Equal(2048, _guest.Memory(MemoryCommand.MaximumRamPage));
        Assert.Equal(16, _guest.Memory(MemoryCommand.CurrentReservation));
        Assert.Equal(700, _guest.Memory(MemoryCommand.MaximumReservation));
        Assert.Equal(0, _guest.Memory(MemoryCommand.MaximumGpfn));
        ulong shared = Share();
        _guest.Domain.SharedInfoFrame = shared;
        PhysicalMemory.At<ulong>((shared << 12) + 3088) = 500;
        Assert.Equal(499, _guest.Memory(MemoryCommand.MaximumGpfn));
        _guest.Store<ushort>(TestGuest.ArgumentBase, [2]);
        Assert.Equal(-Errno.EPERM, _guest.Memory(MemoryCommand.CurrentReservation));
        _guest.Store<ushort>(TestGuest.ArgumentBase, [9]);
        Assert.Equal(-Errno.ESRCH, _guest.Memory(MemoryCommand.CurrentReservation));
        Assert.Equal(-Errno.EINVAL, _guest.Memory(MemoryCommand.MaximumRamPage, TestGuest.ArgumentBase, 1));
        Assert.Equal(-Errno.EFAULT, _guest.Memory(MemoryCommand.CurrentReservation, 0x10));
    }

    [Fact]
    public void TheMachineToPhysicalTableIsDescribed()
    {
        Assert.Equal(0, _guest.Memory(MemoryCommand.MachphysMapping));
        Assert.Equal(AddressSpace.MachineToPhysicalBase, _guest.Load<ulong>(TestGuest.ArgumentBase));
        Assert.Equal(2047UL, _guest.Load<ulong>(TestGuest.ArgumentBase + 16));
        _guest.Store<MemoryMachphysList>(TestGuest.ArgumentBase, [new() { MaximumExtents = 5, ExtentStart = List }]);
        Assert.Equal(0, _guest.Memory(MemoryCommand.MachphysMfnList));
        Assert.Equal(1u, _guest.Load<MemoryMachphysList>(TestGuest.ArgumentBase).ExtentCount);
        Assert.Equal(MachineToPhysical.PhysicalAddress >> 12, _guest.Load<ulong>(List));
        Assert.Equal(-Errno.EOPNOTSUPP, _guest.Memory(MemoryCommand.MachphysCompatMfnList));
    }

    [Fact]
    public void TheMemoryMapIsWhatTheBuilderSaid()
    {
        _guest.Store<MemoryMap>(TestGuest.ArgumentBase, [new() { EntryCount = 4, Buffer = List }]);
        Assert.Equal(-Errno.ENOSYS, _guest.Memory(MemoryCommand.MemoryMap));
        Assert.True(MemoryMaps.TrySetLimit(_guest.Domain, 64 << 20));
        Assert.Equal(0, _guest.Memory(MemoryCommand.MemoryMap));
        Assert.Equal(1u, _guest.Load<MemoryMap>(TestGuest.ArgumentBase).EntryCount);
        MemoryMapEntry entry = _guest.Load<MemoryMapEntry>(List);
        Assert.Equal((0UL, 64UL << 20, MemoryMapEntry.Ram), (entry.Address, entry.Size, entry.Type));

        // A guest may replace its own.
        _guest.Store<ulong>(TestGuest.ArgumentBase, [DomainId.Self, 2, List]);
        Assert.Equal(0, _guest.Memory(MemoryCommand.SetMemoryMap));
        _guest.Store<ulong>(TestGuest.ArgumentBase, [DomainId.Self, 1025, List]);
        Assert.Equal(-Errno.EINVAL, _guest.Memory(MemoryCommand.SetMemoryMap));
        _guest.Store<ulong>(TestGuest.ArgumentBase, [2, 2, List]);
        Assert.Equal(-Errno.EPERM, _guest.Memory(MemoryCommand.SetMemoryMap));
    }

    [Theory]
    [InlineData(MemoryCommand.MachineMemoryMap, -Errno.EPERM)]
    [InlineData(MemoryCommand.AddToPhysmap, -Errno.EACCES)]
    [InlineData(MemoryCommand.AddToPhysmapBatch, -Errno.EACCES)]
    [InlineData(MemoryCommand.RemoveFromPhysmap, -Errno.EACCES)]
    [InlineData(MemoryCommand.AccessOperation, -Errno.EPERM)]
    [InlineData(MemoryCommand.AcquireResource, -Errno.EPERM)]
    [InlineData(MemoryCommand.PagingOperation, -Errno.ENOSYS)]
    [InlineData(MemoryCommand.SharingOperation, -Errno.ENOSYS)]
    [InlineData(MemoryCommand.GetSharingFreedPages, 0)]
    [InlineData(MemoryCommand.GetVnumaInfo, -Errno.EOPNOTSUPP)]
    [InlineData(8u, -Errno.ENOSYS)]
    [InlineData(63u, -Errno.ENOSYS)]
    public void CommandsForOthers(uint command, int result)
    {
        _guest.Store<ulong>(TestGuest.ArgumentBase, new ulong[8]);
        _guest.Store<ushort>(TestGuest.ArgumentBase, [DomainId.Self]);
        Assert.Equal(result, _guest.Memory(command));
    }

    [Fact]
    public void PodTargetsAndClaimsAreNotForPv()
    {
        _guest.Store<MemoryPodTarget>(TestGuest.ArgumentBase, [new() { DomainId = DomainId.Self }]);
        Assert.Equal(-Errno.EINVAL, _guest.Memory(MemoryCommand.GetPodTarget));
        _guest.Store<MemoryReservation>(TestGuest.ArgumentBase, [new() { DomainId = 1, ExtentCount = 5 }]);
        Assert.Equal(-Errno.EPERM, _guest.Memory(MemoryCommand.ClaimPages));
        _guest.Store<MemoryReservation>(TestGuest.ArgumentBase, [new() { DomainId = DomainId.Self, ExtentCount = 5 }]);
        Assert.Equal(-Errno.EINVAL, _guest.Memory(MemoryCommand.ClaimPages));
    }

    [Theory]
    [InlineData(MmuVmAssist.Enable, MmuVmAssist.WritablePageTables, 0)]
    [InlineData(MmuVmAssist.Enable, MmuVmAssist.RunstateUpdateFlag, 0)]
    [InlineData(MmuVmAssist.Disable, MmuVmAssist.FourGigabyteSegments, 0)]
    [InlineData(MmuVmAssist.Enable, 6, -Errno.EINVAL)]
    [InlineData(MmuVmAssist.Enable, 64, -Errno.EINVAL)]
    [InlineData(2u, MmuVmAssist.WritablePageTables, -Errno.ENOSYS)]
    public void Assists(uint command, int type, int result)
    {
        Assert.Equal(result, _guest.Call(VmAssistHypercall.Handle, command, (ulong)type));
        Assert.Equal(result == 0 && command == MmuVmAssist.Enable, type < 64 && _guest.Domain.HasVmAssist(type));
    }

    private ulong Share()
    {
        Assert.True(FrameAllocator.TryAllocateZeroed(out ulong frame));
        SharedFrames.Share(frame, _guest.Domain, false);
        return frame;
    }
}
