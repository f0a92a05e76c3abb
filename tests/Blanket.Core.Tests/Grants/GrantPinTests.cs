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
