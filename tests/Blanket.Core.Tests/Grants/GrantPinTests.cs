using System;
using Blanket.Abi.Xen;
using Blanket.Core.Grants;
using Blanket.Core.Memory;
using Blanket.Core.Tests.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Grants;

/// <summary>Grants in use by the built-in services.</summary>
public sealed class GrantPinTests
{
    private const ushort Both = GrantTableFlags.Reading | GrantTableFlags.Writing;
    private readonly TestMachine _machine = new();
    private readonly GrantGuest _guest;

    public GrantPinTests()
    {
        _guest = new GrantGuest(_machine, 1);
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(2u)]
    public void APinShowsAndHoldsTheFrame(uint version)
    {
        Assert.Equal(0, _guest.SetVersion(version));
        _guest.Grant(20, DomainId.Services, _guest.Data(0));
        Assert.Equal(0, GrantPin.TryPin(_guest.Domain, 20, writable: true, out PinnedGrant pin));
        Assert.Equal(_guest.Data(0), pin.Frame);
        Assert.Equal(0, pin.Offset);
        Assert.Equal(4096, pin.Length);
        Assert.Equal(Both, _guest.Status(20));
        Assert.Equal(1UL, TestGuest.TypeCount(_guest.Data(0)));
        Assert.Equal(2UL, TestGuest.References(_guest.Data(0)));
        Assert.Equal(1, _guest.Table.EntriesInUse);
        Assert.NotEqual(0, _guest.Guest.Pin(_guest.Data(0), 1));
        GrantPin.Unpin(_guest.Domain, in pin);
        Assert.Equal(0, _guest.Status(20));
        Assert.Equal(0UL, TestGuest.TypeCount(_guest.Data(0)));
        Assert.Equal(1UL, TestGuest.References(_guest.Data(0)));
        Assert.Equal(0, _guest.Table.EntriesInUse);
        Assert.Equal(0, _guest.Guest.Pin(_guest.Data(0), 1));
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(2u)]
    public void FlagsFollowTheUsesThatAreLeft(uint version)
    {
        Assert.Equal(0, _guest.SetVersion(version));
        _guest.Grant(20, DomainId.Services, _guest.Data(0));
        Assert.Equal(0, GrantPin.TryPin(_guest.Domain, 20, false, out PinnedGrant first));
        Assert.Equal(GrantTableFlags.Reading, _guest.Status(20));
        Assert.Equal(0UL, TestGuest.TypeCount(_guest.Data(0)));
        Assert.Equal(0, GrantPin.TryPin(_guest.Domain, 20, true, out PinnedGrant second));
        Assert.Equal(Both, _guest.Status(20));
        Assert.Equal(0, GrantPin.TryPin(_guest.Domain, 20, true, out PinnedGrant third));
        GrantPin.Unpin(_guest.Domain, in second);
        Assert.Equal(Both, _guest.Status(20));
        GrantPin.Unpin(_guest.Domain, in third);
        Assert.Equal(GrantTableFlags.Reading, _guest.Status(20));
        GrantPin.Unpin(_guest.Domain, in first);
        Assert.Equal(0, _guest.Status(20));
    }

    private static PinnedSegment[] Segments(params uint[] references) =>
        [.. System.Linq.Enumerable.Select(references, reference => new PinnedSegment { Reference = reference, Offset = 512, Length = 1024 })];

    [Theory]
    [InlineData(1u, true)]
    [InlineData(1u, false)]
    [InlineData(2u, true)]
    [InlineData(2u, false)]
    public void ARequestPinsAllItsPages(uint version, bool writable)
    {
        Assert.Equal(0, _guest.SetVersion(version));
        for (uint i = 0; i < 4; i++)
        {
            _guest.Grant(20 + i, DomainId.Services, _guest.Data((int)i));
        }

        // One of them is in use otherwise, one appears twice.
        Assert.Equal(0, GrantPin.TryPin(_guest.Domain, 21, writable, out PinnedGrant other));
        PinnedSegment[] segments = Segments(20, 21, 22, 20, 23);
        Assert.Equal(0, GrantPin.TryPinAll(_guest.Domain, writable, segments));
        Assert.Equal([_guest.Data(0), _guest.Data(1), _guest.Data(2), _guest.Data(0), _guest.Data(3)], System.Linq.Enumerable.Select(segments, segment => segment.Frame));
        for (uint i = 0; i < 4; i++)
        {
            Assert.Equal(writable ? Both : GrantTableFlags.Reading, _guest.Status(20 + i));
        }

        Assert.Equal(writable ? 2UL : 0UL, TestGuest.TypeCount(_guest.Data(0)));
        Assert.Equal(3UL, TestGuest.References(_guest.Data(0)));
        Assert.Equal(2UL, TestGuest.References(_guest.Data(3)));
        Assert.Equal(4, _guest.Table.EntriesInUse);
        GrantPin.UnpinAll(_guest.Domain, writable, segments);
        Assert.Equal(1, _guest.Table.EntriesInUse);
        GrantPin.Unpin(_guest.Domain, in other);
        AssertNothingIsPinned();
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(2u)]
    public void ARequestWithABadGrantPinsNothing(uint version)
    {
        Assert.Equal(0, _guest.SetVersion(version));
        for (uint i = 0; i < 3; i++)
        {
            _guest.Grant(20 + i, DomainId.Services, _guest.Data((int)i));
        }

        _guest.Grant(23, DomainId.Services, _guest.Data(3), GrantTableFlags.ReadOnly);
        _guest.Grant(24, DomainId.Services, _guest.L1Table);
        _guest.Grant(25, DomainId.Services, 0xfff_ffff);
        Assert.Equal(-Errno.EACCES, GrantPin.TryPinAll(_guest.Domain, true, Segments(20, 21, 23, 22)));
        Assert.Equal(-Errno.EACCES, GrantPin.TryPinAll(_guest.Domain, true, Segments(20, 20, 24, 22)));
        Assert.Equal(-Errno.EFAULT, GrantPin.TryPinAll(_guest.Domain, true, Segments(20, 21, 22, 25)));
        Assert.Equal(-Errno.EACCES, GrantPin.TryPinAll(_guest.Domain, false, Segments(20, 26)));
        Assert.Equal(-Errno.ENOENT, GrantPin.TryPinAll(_guest.Domain, false, Segments(uint.MaxValue, 20)));
        AssertNothingIsPinned();
    }

    [Fact]
    public void ARequestStaysInsideAGrantedPart()
    {
        Assert.Equal(0, _guest.SetVersion(2));
        _guest.Grant(20, DomainId.Services, _guest.Data(0));
        _guest.GrantPart(21, DomainId.Services, _guest.Data(1), 512, 1024);
        _guest.GrantPart(22, DomainId.Services, _guest.Data(2), 512, 1023);
        PinnedSegment[] segments = Segments(20, 21);
        Assert.Equal(0, GrantPin.TryPinAll(_guest.Domain, true, segments));
        GrantPin.UnpinAll(_guest.Domain, true, segments);
        Assert.Equal(-Errno.EACCES, GrantPin.TryPinAll(_guest.Domain, true, Segments(20, 22)));
        AssertNothingIsPinned();
    }

    private void AssertNothingIsPinned()
    {
        for (uint i = 0; i < 4; i++)
        {
            Assert.Equal(0, _guest.Status(20 + i));
            Assert.Equal(0UL, TestGuest.TypeCount(_guest.Data((int)i)));
            Assert.Equal(1UL, TestGuest.References(_guest.Data((int)i)));
        }

        Assert.Equal(0, _guest.Table.EntriesInUse);
    }

    [Fact]
    public void WhatTheEntryDoesNotAllowIsRefused()
    {
        Assert.Equal(-Errno.ENOENT, GrantPin.TryPin(_guest.Domain, 512, false, out _));
        Assert.Equal(-Errno.ENOENT, GrantPin.TryPin(_guest.Domain, uint.MaxValue, false, out _));
        Assert.Equal(-Errno.EACCES, GrantPin.TryPin(_guest.Domain, 20, false, out _));
        _guest.Grant(20, 2, _guest.Data(0));
        Assert.Equal(-Errno.EACCES, GrantPin.TryPin(_guest.Domain, 20, false, out _));
        _guest.Grant(20, DomainId.Services, _guest.Data(0), GrantTableFlags.ReadOnly);
        Assert.Equal(-Errno.EACCES, GrantPin.TryPin(_guest.Domain, 20, true, out _));
        Assert.Equal(0, _guest.Status(20));
        Assert.Equal(0, GrantPin.TryPin(_guest.Domain, 20, false, out PinnedGrant pin));
        Assert.Equal(-Errno.EACCES, GrantPin.TryPin(_guest.Domain, 20, true, out _));
        Assert.Equal(GrantTableFlags.Reading, _guest.Status(20));
        GrantPin.Unpin(_guest.Domain, in pin);
        _guest.Grant(20, DomainId.Services, 0xfff_ffff);
        Assert.Equal(-Errno.EFAULT, GrantPin.TryPin(_guest.Domain, 20, false, out _));
        _guest.Grant(20, DomainId.Services, _guest.Data(0), type: GrantTableFlags.AcceptTransfer);
        Assert.Equal(-Errno.EACCES, GrantPin.TryPin(_guest.Domain, 20, false, out _));
        _guest.Grant(20, DomainId.Services, _guest.L1Table);
        Assert.Equal(-Errno.EACCES, GrantPin.TryPin(_guest.Domain, 20, true, out _));
        Assert.Equal(0, _guest.Status(20));
        Assert.Equal(0, _guest.Table.EntriesInUse);
    }

    [Fact]
    public void AFrameOfAnotherGuestCannotBeGranted()
    {
        GrantGuest other = new(_machine, 2);
        _guest.Grant(20, DomainId.Services, other.Data(0));
        Assert.Equal(-Errno.EFAULT, GrantPin.TryPin(_guest.Domain, 20, false, out _));
        Assert.Equal(1UL, TestGuest.References(other.Data(0)));
    }

    [Fact]
    public void ChangingTheEntryWhileItIsInUseChangesNothing()
    {
        _guest.Grant(20, DomainId.Services, _guest.Data(0));
        Assert.Equal(0, GrantPin.TryPin(_guest.Domain, 20, true, out PinnedGrant pin));
        _guest.Grant(20, 7, _guest.Data(1));
        Assert.Equal(0, GrantPin.TryPin(_guest.Domain, 20, false, out PinnedGrant second));
        Assert.Equal(_guest.Data(0), second.Frame);
        GrantPin.Unpin(_guest.Domain, in second);
        GrantPin.Unpin(_guest.Domain, in pin);
        Assert.Equal(1UL, TestGuest.References(_guest.Data(0)));
        Assert.Equal(1UL, TestGuest.References(_guest.Data(1)));
    }

    [Fact]
    public void SubPageGrantsAreCutToThePage()
    {
        Assert.Equal(0, _guest.SetVersion(2));
        _guest.GrantPart(20, DomainId.Services, _guest.Data(0), 512, 1024);
        Assert.Equal(0, GrantPin.TryPin(_guest.Domain, 20, true, out PinnedGrant pin));
        Assert.Equal(512, pin.Offset);
        Assert.Equal(1024, pin.Length);
        Assert.True(pin.Covers(512, 1024));
        Assert.True(pin.Covers(1536, 0));
        Assert.False(pin.Covers(511, 1));
        Assert.False(pin.Covers(1000, 1024));
        Assert.False(pin.Covers(uint.MaxValue, 2));
        GrantPin.Unpin(_guest.Domain, in pin);
        _guest.GrantPart(20, DomainId.Services, _guest.Data(0), 4000, 60_000);
        Assert.Equal(0, GrantPin.TryPin(_guest.Domain, 20, true, out pin));
        Assert.Equal(4000, pin.Offset);
        Assert.Equal(96, pin.Length);
        GrantPin.Unpin(_guest.Domain, in pin);
        _guest.GrantPart(20, DomainId.Services, _guest.Data(0), 60_000, 60_000);
        Assert.Equal(0, GrantPin.TryPin(_guest.Domain, 20, true, out pin));
        Assert.Equal(0, pin.Length);
        GrantPin.Unpin(_guest.Domain, in pin);
    }

    [Fact]
    public void TransitiveGrantsCannotBePinned()
    {
        Assert.Equal(0, _guest.SetVersion(2));
        _guest.GrantTransitively(20, DomainId.Services, 2, 5);
        Assert.Equal(-Errno.EACCES, GrantPin.TryPin(_guest.Domain, 20, false, out _));
        Assert.Equal(0, _guest.Status(20));
    }

    [Fact]
    public void APinOutlivesItsGuest()
    {
        _guest.Grant(20, DomainId.Services, _guest.Data(0));
        Assert.Equal(0, GrantPin.TryPin(_guest.Domain, 20, true, out PinnedGrant pin));
        PhysicalMemory.Frame(pin.Frame).Fill(0x77);
        _machine.Destroy(_guest.Domain);
        Assert.Equal(-Errno.EACCES, GrantPin.TryPin(_guest.Domain, 20, false, out _));
        Assert.Equal(1, _guest.Table.EntriesInUse);
        Assert.Equal(1UL, _guest.Domain.FrameCount);
        Assert.Equal(FrameState.Domain, FrameTable.Of(pin.Frame).State);
        Assert.False(PhysicalMemory.Frame(pin.Frame).ContainsAnyExcept((byte)0x77));
        GrantPin.Unpin(_guest.Domain, in pin);
        Assert.Equal(0UL, _guest.Domain.FrameCount);
        FrameQuarantine.Drain();
        Assert.Equal(FrameState.Free, FrameTable.Of(pin.Frame).State);
        _guest.Release();
        Assert.True(_guest.Domain.OwnsNoFrames);
    }

    [Fact]
    public void ReservedEntriesArePreset()
    {
        _guest.Table.Preset(GrantTableEntry.ReservedXenstore, DomainId.Services, _guest.Data(0));
        Assert.Equal(0, GrantPin.TryPin(_guest.Domain, GrantTableEntry.ReservedXenstore, true, out PinnedGrant pin));
        Assert.Equal(_guest.Data(0), pin.Frame);
        Assert.Equal(0, _guest.SetVersion(2));
        Assert.Equal(Both, _guest.Status(GrantTableEntry.ReservedXenstore));
        Assert.Equal(_guest.Data(0), _guest.GrantedFrame(GrantTableEntry.ReservedXenstore));
        GrantPin.Unpin(_guest.Domain, in pin);
        Assert.Equal(0, _guest.Status(GrantTableEntry.ReservedXenstore));
        Assert.Equal(0, GrantPin.TryPin(_guest.Domain, GrantTableEntry.ReservedXenstore, true, out pin));
        Assert.Equal(0, _guest.SetVersion(1));
        Assert.Equal(Both, _guest.Status(GrantTableEntry.ReservedXenstore));
        GrantPin.Unpin(_guest.Domain, in pin);
        Assert.Equal(0, _guest.Status(GrantTableEntry.ReservedXenstore));
    }

    [Fact]
    public void CopiesOfTheServicesStayInTheGrant()
    {
        byte[] bytes = new byte[100];
        System.Random.Shared.NextBytes(bytes);
        _guest.Grant(20, DomainId.Services, _guest.Data(0));
        Assert.Equal(0, GrantCopy.TryCopyToGrant(_guest.Domain, 20, 3996, bytes));
        Assert.Equal(bytes, PhysicalMemory.Frame(_guest.Data(0)).Slice(3996).ToArray());
        byte[] back = new byte[100];
        Assert.Equal(0, GrantCopy.TryCopyFromGrant(_guest.Domain, 20, 3996, back));
        Assert.Equal(bytes, back);
        Assert.Equal(-Errno.EINVAL, GrantCopy.TryCopyToGrant(_guest.Domain, 20, 3997, bytes));
        Assert.Equal(-Errno.EINVAL, GrantCopy.TryCopyFromGrant(_guest.Domain, 20, uint.MaxValue, back));
        Assert.Equal(-Errno.EACCES, GrantCopy.TryCopyToGrant(_guest.Domain, 21, 0, bytes));
        Assert.Equal(-Errno.ENOENT, GrantCopy.TryCopyToGrant(_guest.Domain, 2100, 0, bytes));
        _guest.Grant(21, DomainId.Services, _guest.Data(0), GrantTableFlags.ReadOnly);
        Assert.Equal(-Errno.EACCES, GrantCopy.TryCopyToGrant(_guest.Domain, 21, 0, bytes));
        Assert.Equal(0, GrantCopy.TryCopyFromGrant(_guest.Domain, 21, 3996, back));
        Assert.Equal(0, _guest.Table.EntriesInUse);
        Assert.Equal(0, _guest.Status(20));
        Assert.Equal(1UL, TestGuest.References(_guest.Data(0)));
    }
}
