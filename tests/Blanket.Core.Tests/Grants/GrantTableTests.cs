using System;
using Blanket.Abi.Xen;
using Blanket.Core.Grants;
using Blanket.Core.Memory;
using Blanket.Core.Tests.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Grants;

/// <summary>Size and version of tables, and the sub-operations that are not mappings or copies.</summary>
public sealed class GrantTableTests
{
    private readonly TestMachine _machine = new();
    private readonly GrantGuest _guest;
    private readonly GrantGuest _other;

    public GrantTableTests()
    {
        _guest = new GrantGuest(_machine, 1);
        _other = new GrantGuest(_machine, 2, version: 1);
    }

    [Fact]
    public void UnknownOperationsAndBadCountsAreErrors()
    {
        byte[] nothing = new byte[8];
        Assert.Equal(-Errno.ENOSYS, _guest.Call(GrantTableOp.DumpTable, nothing));
        Assert.Equal(-Errno.ENOSYS, _guest.Call(13, nothing));
        Assert.Equal(-Errno.EINVAL, _guest.Call(GrantTableOp.Copy, nothing, count: 0x8000_0000));
        Assert.Equal(-Errno.EINVAL, _guest.Call(GrantTableOp.Copy | 0x1000, nothing));
        Assert.Equal(-Errno.EINVAL, _guest.Call(GrantTableOp.SetupTable, new GrantSetupArgument[2]));
        Assert.Equal(-Errno.EINVAL, _guest.Call(GrantTableOp.QuerySize, new GrantQuerySizeArgument[2]));
        Assert.Equal(-Errno.EINVAL, _guest.Call(GrantTableOp.GetStatusFrames, new GrantStatusFramesArgument[2]));
    }

    [Fact]
    public void BadAddressesAreFaults()
    {
        uint[] operations =
        [
            GrantTableOp.MapGrantReference, GrantTableOp.UnmapGrantReference, GrantTableOp.SetupTable, GrantTableOp.Transfer,
            GrantTableOp.Copy, GrantTableOp.QuerySize, GrantTableOp.UnmapAndReplace, GrantTableOp.SetVersion,
            GrantTableOp.GetStatusFrames, GrantTableOp.GetVersion, GrantTableOp.SwapGrantReference, GrantTableOp.CacheFlush,
        ];
        foreach (uint operation in operations)
        {
            _guest.Guest.Use(0);
            Assert.Equal(-Errno.EFAULT, _guest.Guest.Call(GrantTableHypercall.Handle, operation, 0x10, 1));
            Assert.Equal(-Errno.EFAULT, _guest.Guest.Call(GrantTableHypercall.Handle, operation, AddressSpace.DirectMapBase, 1));
        }
    }

    [Fact]
    public void AnEmptyBatchIsDone()
    {
        Assert.Equal(0, _guest.Call(GrantTableOp.Copy, System.Array.Empty<GrantCopyArgument>()));
        Assert.Equal(0, _guest.Call(GrantTableOp.MapGrantReference, System.Array.Empty<GrantMapArgument>()));
        Assert.Equal(0, _guest.Call(GrantTableOp.UnmapGrantReference, System.Array.Empty<GrantUnmapArgument>()));
    }

    [Fact]
    public void SetupGrowsTheTableAndTellsTheFrames()
    {
        Assert.Equal(1, _guest.Table.FrameCount);
        Assert.Equal(GrantTableStatus.Okay, _guest.SetUp(3));
        Assert.Equal(3, _guest.Table.FrameCount);
        for (int i = 0; i < 3; i++)
        {
            ulong frame = _guest.Guest.Load<ulong>(GrantGuest.ListBase + (ulong)i * 8);
            Assert.Equal(_guest.Table.SharedFrame(i), frame);
            Assert.Equal(1, FrameTable.Of(frame).Owner);
        }

        Assert.Equal(GrantTableStatus.Okay, _guest.SetUp(1));
        Assert.Equal(3, _guest.Table.FrameCount);
        Assert.Equal(GrantTableStatus.GeneralError, _guest.SetUp(5));
        Assert.Equal(GrantTableStatus.PermissionDenied, _guest.SetUp(1, domain: 2));
        Assert.Equal(GrantTableStatus.BadDomain, _guest.SetUp(1, domain: 77));
        Assert.Equal(GrantTableStatus.Okay, _guest.SetUp(1, domain: 1));
        _guest.Domain.MayManageMemory = true;
        Assert.Equal(GrantTableStatus.Okay, _guest.SetUp(2, domain: 2));
        Assert.Equal(2, _other.Table.FrameCount);
    }

    [Fact]
    public void SetupToAnUnmappedListTellsTheGuest()
    {
        GrantSetupArgument argument = new() { Domain = DomainId.Self, FrameCount = 2, FrameList = 0x1000 };
        Assert.Equal(GrantTableStatus.BadVirtualAddress, _guest.Call(GrantTableOp.SetupTable, argument).Status);
        argument.FrameList = AddressSpace.HypervisorStart - 8;
        Assert.Equal(-Errno.EFAULT, _guest.Call(GrantTableOp.SetupTable, new[] { argument }));
        argument.FrameCount = uint.MaxValue;
        argument.FrameList = GrantGuest.ListBase;
        Assert.Equal(GrantTableStatus.GeneralError, _guest.Call(GrantTableOp.SetupTable, argument).Status);
    }

    [Fact]
    public void QuerySizeTells()
    {
        GrantQuerySizeArgument size = _guest.Call(GrantTableOp.QuerySize, new GrantQuerySizeArgument { Domain = DomainId.Self });
        Assert.Equal(GrantTableStatus.Okay, size.Status);
        Assert.Equal(1u, size.Frames);
        Assert.Equal(4u, size.MaximumFrames);
        Assert.Equal(GrantTableStatus.PermissionDenied, _guest.Call(GrantTableOp.QuerySize, new GrantQuerySizeArgument { Domain = 2 }).Status);
        Assert.Equal(GrantTableStatus.BadDomain, _guest.Call(GrantTableOp.QuerySize, new GrantQuerySizeArgument { Domain = 9 }).Status);
    }

    [Fact]
    public void OutOfMemoryLeavesTheTableUsable()
    {
        while (FrameAllocator.TryAllocate(out _))
        {
        }

        Assert.Equal(GrantTableStatus.GeneralError, _guest.SetUp(2));
        Assert.Equal(1, _guest.Table.FrameCount);
        Assert.Equal(-Errno.ENOMEM, _guest.SetVersion(2));
        _guest.Grant(511, DomainId.Services, _guest.Data(0));
        Assert.Equal(0, GrantPin.TryPin(_guest.Domain, 511, false, out PinnedGrant pin));
        GrantPin.Unpin(_guest.Domain, in pin);
    }

    [Fact]
    public void VersionsChange()
    {
        Assert.Equal(-Errno.EINVAL, _guest.SetVersion(0));
        Assert.Equal(-Errno.EINVAL, _guest.SetVersion(3));
        Assert.Equal(-Errno.ENOSYS, _other.SetVersion(2));
        Assert.Equal(0, _other.SetVersion(1));
        _guest.Grant(100, 2, _guest.Data(0));
        Assert.Equal(0, _guest.SetVersion(2));
        Assert.Equal(0, _guest.Flags(100));
        Assert.Equal(256u, _guest.Table.EntryCount);
        Assert.Equal(1, _guest.Table.StatusFrameCount);
        GrantVersionArgument version = _guest.Call(GrantTableOp.GetVersion, new GrantVersionArgument { Domain = DomainId.Self });
        Assert.Equal(2u, version.Version);
        Assert.Equal(-Errno.EPERM, _guest.Call(GrantTableOp.GetVersion, new[] { new GrantVersionArgument { Domain = 2 } }));
        Assert.Equal(-Errno.ESRCH, _guest.Call(GrantTableOp.GetVersion, new[] { new GrantVersionArgument { Domain = 9 } }));
        Assert.Equal(0, _guest.SetVersion(1));
        Assert.Equal(512u, _guest.Table.EntryCount);
        Assert.Equal(0, _guest.Table.StatusFrameCount);
    }

    [Fact]
    public void VersionsStayWhileGrantsAreInUse()
    {
        _guest.Grant(100, DomainId.Services, _guest.Data(0));
        Assert.Equal(0, GrantPin.TryPin(_guest.Domain, 100, false, out PinnedGrant pin));
        Assert.Equal(-Errno.EBUSY, _guest.SetVersion(2));
        GrantPin.Unpin(_guest.Domain, in pin);
        Assert.Equal(0, _guest.SetVersion(2));
        _guest.GrantPart(5, DomainId.Services, _guest.Data(0), 0, 8);
        Assert.Equal(0, GrantPin.TryPin(_guest.Domain, 5, false, out pin));
        Assert.Equal(-Errno.EAGAIN, _guest.SetVersion(1));
        GrantPin.Unpin(_guest.Domain, in pin);
        _guest.Grant(5, 2, 1UL << 32);
        Assert.Equal(-Errno.ERANGE, _guest.SetVersion(1));
        _guest.GrantTransitively(5, 2, 3, 3);
        Assert.Equal(-Errno.ERANGE, _guest.SetVersion(1));
        _guest.Flags(5) = 0;
        Assert.Equal(0, _guest.SetVersion(1));
    }

    [Fact]
    public void ManyVersionChangesUseNoMoreMemory()
    {
        Assert.Equal(0, _guest.SetVersion(2));
        ulong free = FrameAllocator.FreeFrames;
        for (int i = 0; i < 50; i++)
        {
            Assert.Equal(0, _guest.SetVersion(1));
            Assert.Equal(0, _guest.SetVersion(2));
        }

        Assert.Equal(free, FrameAllocator.FreeFrames);
    }

    [Fact]
    public void StatusFramesAreOfVersionTwo()
    {
        GrantStatusFramesArgument argument = new() { Domain = DomainId.Self, FrameCount = 1, FrameList = GrantGuest.ListBase };
        Assert.Equal(GrantTableStatus.GeneralError, _guest.Call(GrantTableOp.GetStatusFrames, argument).Status);
        Assert.Equal(0, _guest.SetVersion(2));
        Assert.Equal(GrantTableStatus.Okay, _guest.Call(GrantTableOp.GetStatusFrames, argument).Status);
        Assert.Equal(_guest.Table.StatusFrame(0), _guest.Guest.Load<ulong>(GrantGuest.ListBase));
        argument.FrameCount = 2;
        Assert.Equal(GrantTableStatus.GeneralError, _guest.Call(GrantTableOp.GetStatusFrames, argument).Status);
        argument.Domain = 2;
        Assert.Equal(GrantTableStatus.PermissionDenied, _guest.Call(GrantTableOp.GetStatusFrames, argument).Status);
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(2u)]
    public void EntriesAreSwapped(uint version)
    {
        Assert.Equal(0, _guest.SetVersion(version));
        _guest.Grant(30, 2, _guest.Data(0), GrantTableFlags.ReadOnly);
        _guest.Grant(31, 3, _guest.Data(1));
        Assert.Equal(GrantTableStatus.Okay, Swap(30, 31));
        Assert.Equal(3, _guest.Grantee(30));
        Assert.Equal(_guest.Data(1), _guest.GrantedFrame(30));
        Assert.Equal(_guest.Data(0), _guest.GrantedFrame(31));
        Assert.Equal(GrantTableFlags.PermitAccess | GrantTableFlags.ReadOnly, _guest.Flags(31));
        Assert.Equal(GrantTableStatus.Okay, Swap(30, 30));
        Assert.Equal(GrantTableStatus.BadReference, Swap(30, 4000));
        Assert.Equal(GrantTableStatus.BadReference, Swap(uint.MaxValue, 30));
        _guest.Grant(32, DomainId.Services, _guest.Data(2));
        Assert.Equal(0, GrantPin.TryPin(_guest.Domain, 32, false, out PinnedGrant pin));
        Assert.Equal(GrantTableStatus.Again, Swap(32, 30));
        Assert.Equal(GrantTableStatus.Again, Swap(30, 32));
        GrantPin.Unpin(_guest.Domain, in pin);
        Assert.Equal(GrantTableStatus.Okay, Swap(30, 32));
    }

    [Fact]
    public void CacheFlushChecksWhatItIsAskedFor()
    {
        ulong own = _guest.Data(0) << Cpu.PageShift;
        Assert.Equal(0, Flush(own, 0, 4096, GrantCacheFlushArgument.Clean));
        Assert.Equal(0, Flush(own, 0, 4096, GrantCacheFlushArgument.Clean | GrantCacheFlushArgument.Invalidate));
        Assert.Equal(-Errno.EOPNOTSUPP, Flush(own, 0, 4096, GrantCacheFlushArgument.Invalidate));
        Assert.Equal(0, Flush(own, 0, 0, GrantCacheFlushArgument.Invalidate));
        Assert.Equal(0, Flush(own, 0, 16, 0));
        Assert.Equal(-Errno.EINVAL, Flush(own, 1, 4096, GrantCacheFlushArgument.Clean));
        Assert.Equal(-Errno.EINVAL, Flush(own, 4096, 0, GrantCacheFlushArgument.Clean));
        Assert.Equal(-Errno.EINVAL, Flush(own, 0, 16, 4));
        Assert.Equal(-Errno.EINVAL, Flush(1UL << 50, 0, 16, GrantCacheFlushArgument.Clean));
        Assert.Equal(-Errno.EPERM, Flush(0, 0, 16, GrantCacheFlushArgument.Clean));
        ulong foreign = _other.Data(0) << Cpu.PageShift;
        Assert.Equal(-Errno.EINVAL, Flush(foreign, 0, 16, GrantCacheFlushArgument.Clean));
        _other.Grant(9, 1, _other.Data(0));
        GrantMapArgument map = _guest.Map(2, 9, GrantMapFlags.Device);
        Assert.Equal(GrantTableStatus.Okay, map.Status);
        Assert.Equal(0, Flush(foreign, 0, 16, GrantCacheFlushArgument.Clean));
        Assert.Equal(GrantTableStatus.Okay, _guest.Unmap(map.Handle, bus: map.DeviceBusAddress));
        Assert.Equal(-Errno.EINVAL, Flush(foreign, 0, 16, GrantCacheFlushArgument.Clean));
    }

    [Fact]
    public void TransferMovesAFrameWithItsContents()
    {
        ulong frame = _guest.Data(3);
        PhysicalMemory.Frame(frame).Fill(0x42);
        _other.Grant(50, 1, 0x1234, type: GrantTableFlags.AcceptTransfer);
        ulong before = _guest.Domain.FrameCount;
        Assert.Equal(GrantTableStatus.Okay, Transfer(frame, 2, 50));
        Assert.Equal(before - 1, _guest.Domain.FrameCount);
        Assert.Equal(2, FrameTable.Of(frame).Owner);
        Assert.Equal(frame, _other.GrantedFrame(50));
        Assert.Equal(
            GrantTableFlags.AcceptTransfer | GrantTableFlags.TransferCommitted | GrantTableFlags.TransferCompleted, _other.Flags(50));
        Assert.Equal(0x1234UL, MachineToPhysical.Get(frame));
        Assert.False(PhysicalMemory.Frame(frame).ContainsAnyExcept((byte)0x42));
        _machine.Audit();
        _guest.Destroy(_machine);
        Assert.Equal(FrameState.Domain, FrameTable.Of(frame).State);
        _other.Destroy(_machine);
    }

    [Fact]
    public void FramesInUseAreNotTransferred()
    {
        _other.Grant(50, 1, 0, type: GrantTableFlags.AcceptTransfer);
        Assert.Equal(GrantTableStatus.BadPage, Transfer(_guest.L1Table, 2, 50));
        Assert.Equal(GrantTableStatus.BadPage, Transfer(_guest.Guest.Frames[4], 2, 50));
        Assert.Equal(GrantTableStatus.BadPage, Transfer(_other.Data(0), 2, 50));
        Assert.Equal(GrantTableStatus.BadPage, Transfer(_guest.Table.SharedFrame(0), 2, 50));
        Assert.Equal(GrantTableStatus.BadPage, Transfer(ulong.MaxValue, 2, 50));
        Assert.Equal(GrantTableFlags.AcceptTransfer, _other.Flags(50));
        _machine.Audit();
    }

    [Fact]
    public void AFrameThatNobodyAcceptsIsLost()
    {
        Assert.Equal(GrantTableStatus.BadDomain, Transfer(_guest.Data(0), 77, 50));
        Assert.Equal(GrantTableStatus.GeneralError, Transfer(_guest.Data(1), 2, 50));
        Assert.Equal(GrantTableStatus.GeneralError, Transfer(_guest.Data(2), 2, 50_000));
        _other.Grant(50, 3, 0, type: GrantTableFlags.AcceptTransfer);
        Assert.Equal(GrantTableStatus.GeneralError, Transfer(_guest.Data(3), 2, 50));
        for (int i = 0; i < 4; i++)
        {
            Assert.Equal(FrameState.Free, FrameTable.Of(_guest.Data(i)).State);
        }

        _machine.Audit();
        _guest.Destroy(_machine);
    }

    [Fact]
    public void AReceiverWithoutRoomRefuses()
    {
        _other.Grant(50, 1, 0, type: GrantTableFlags.AcceptTransfer);
        _other.Domain.MaximumFrames = _other.Domain.FrameCount;
        Assert.Equal(GrantTableStatus.GeneralError, Transfer(_guest.Data(0), 2, 50));
        Assert.Equal(_other.Domain.MaximumFrames, _other.Domain.FrameCount);
        Assert.Equal(GrantTableFlags.AcceptTransfer, _other.Flags(50));
    }

    private short Swap(uint one, uint other) =>
        _guest.Call(GrantTableOp.SwapGrantReference, new GrantSwapArgument { ReferenceA = one, ReferenceB = other }).Status;

    private short Transfer(ulong frame, ushort receiver, uint reference) =>
        _guest.Call(GrantTableOp.Transfer, new GrantTransferArgument { Frame = frame, Domain = receiver, Reference = reference }).Status;

    private long Flush(ulong address, ushort offset, ushort length, uint operation) => _guest.Call(
        GrantTableOp.CacheFlush,
        new[] { new GrantCacheFlushArgument { DeviceBusAddress = address, Offset = offset, Length = length, Operation = operation } });
}
