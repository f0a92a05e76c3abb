using System.Linq;
using Blanket.Abi.Xen;
using Blanket.Core.Memory;
using Blanket.Core.Tests.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Grants;

/// <summary>Mappings of a guest's grants by another guest.</summary>
public sealed class GrantMapTests
{
    private const uint Host = GrantMapFlags.Host;
    private const uint Device = GrantMapFlags.Device;
    private const uint ReadOnly = GrantMapFlags.ReadOnly;
    private const ushort Both = GrantTableFlags.Reading | GrantTableFlags.Writing;

    private readonly TestMachine _machine = new();
    private readonly GrantGuest _granter;
    private readonly GrantGuest _mapper;

    public GrantMapTests()
    {
        _granter = new GrantGuest(_machine, 1);
        _mapper = new GrantGuest(_machine, 2);
        _granter.Grant(20, 2, _granter.Data(0));
    }

    private ulong Entry(int slot) => TestGuest.Get(_mapper.L1Table, slot);

    [Fact]
    public void AHostMappingSetsAnEntryAndHoldsTheFrame()
    {
        GrantMapArgument map = _mapper.Map(1, 20, Host, GrantGuest.Linear(7));
        Assert.Equal(GrantTableStatus.Okay, map.Status);
        Assert.Equal(_granter.Data(0) << Cpu.PageShift, map.DeviceBusAddress);
        Assert.Equal(_granter.Data(0), PageTableEntry.Frame(Entry(7)));
        Assert.NotEqual(0UL, Entry(7) & PageTableEntry.Writable);
        Assert.NotEqual(0UL, Entry(7) & PageTableEntry.GuestKernel);
        Assert.Equal(Both, _granter.Status(20));
        Assert.Equal(2UL, TestGuest.References(_granter.Data(0)));
        Assert.Equal(1UL, TestGuest.TypeCount(_granter.Data(0)));
        _machine.Audit();
        _machine.Remote.Flushes.Clear();
        Assert.Equal(GrantTableStatus.Okay, _mapper.Unmap(map.Handle, GrantGuest.Linear(7)));
        Assert.Equal(0UL, Entry(7));
        Assert.Equal(0, _granter.Status(20));
        Assert.Equal(1UL, TestGuest.References(_granter.Data(0)));
        Assert.Equal(0UL, TestGuest.TypeCount(_granter.Data(0)));
        Assert.Equal(GrantTableStatus.BadHandle, _mapper.Unmap(map.Handle, GrantGuest.Linear(7)));
        _machine.Audit();
    }

    [Fact]
    public void FlagsDecideTheEntry()
    {
        GrantMapArgument map = _mapper.Map(1, 20, Host | ReadOnly | GrantMapFlags.Application | 5u << 16, GrantGuest.Linear(7));
        Assert.Equal(GrantTableStatus.Okay, map.Status);
        ulong entry = Entry(7);
        Assert.Equal(0UL, entry & (PageTableEntry.Writable | PageTableEntry.GuestKernel));
        Assert.Equal(5UL, (entry & PageTableEntry.Available) >> 9);
        Assert.NotEqual(0UL, entry & PageTableEntry.NoExecute);
        Assert.Equal(GrantTableFlags.Reading, _granter.Status(20));
        Assert.Equal(0UL, TestGuest.TypeCount(_granter.Data(0)));
        Assert.Equal(GrantTableStatus.Okay, _mapper.Unmap(map.Handle, GrantGuest.Linear(7)));
        _machine.Audit();
    }

    [Fact]
    public void AnEntryMayBeNamedByItsMachineAddress()
    {
        ulong address = TestGuest.EntryAddress(_mapper.L1Table, 9);
        GrantMapArgument map = _mapper.Map(1, 20, Host | GrantMapFlags.ContainsEntry, address);
        Assert.Equal(GrantTableStatus.Okay, map.Status);
        Assert.Equal(_granter.Data(0), PageTableEntry.Frame(Entry(9)));
        Assert.Equal(GrantTableStatus.Okay, _mapper.Unmap(map.Handle, address));
        uint flags = Host | GrantMapFlags.ContainsEntry;
        Assert.Equal(GrantTableStatus.GeneralError, _mapper.Map(1, 20, flags, address + 1).Status);
        Assert.Equal(GrantTableStatus.GeneralError, _mapper.Map(1, 20, flags, TestGuest.EntryAddress(_mapper.Data(0), 0)).Status);
        Assert.Equal(GrantTableStatus.GeneralError, _mapper.Map(1, 20, flags, TestGuest.EntryAddress(_mapper.Guest.Frames[2], 5)).Status);
        Assert.Equal(GrantTableStatus.GeneralError, _mapper.Map(1, 20, flags, TestGuest.EntryAddress(_granter.L1Table, 5)).Status);
        Assert.Equal(GrantTableStatus.GeneralError, _mapper.Map(1, 20, flags, ulong.MaxValue & ~7UL).Status);
        Assert.Equal(0, _granter.Status(20));
        _machine.Audit();
    }

    [Fact]
    public void WhatWasMappedBeforeIsDropped()
    {
        Assert.Equal(0, _mapper.Guest.UpdateVa(GrantGuest.Linear(7), TestGuest.Entry(_mapper.Data(1), TestGuest.WritableFlags)));
        Assert.Equal(1UL, TestGuest.TypeCount(_mapper.Data(1)));
        GrantMapArgument map = _mapper.Map(1, 20, Host, GrantGuest.Linear(7));
        Assert.Equal(0UL, TestGuest.TypeCount(_mapper.Data(1)));
        _machine.Audit();
        Assert.Equal(GrantTableStatus.Okay, _mapper.Unmap(map.Handle, GrantGuest.Linear(7)));
    }

    [Fact]
    public void ADeviceMappingHoldsTheFrameWithoutAnEntry()
    {
        GrantMapArgument map = _mapper.Map(1, 20, Device);
        Assert.Equal(GrantTableStatus.Okay, map.Status);
        Assert.Equal(1UL, TestGuest.TypeCount(_granter.Data(0)));
        Assert.Equal(GrantTableStatus.BadDeviceAddress, _mapper.Unmap(map.Handle, bus: 0x1000));
        Assert.Equal(GrantTableStatus.Okay, _mapper.Unmap(map.Handle));
        Assert.Equal(1UL, TestGuest.TypeCount(_granter.Data(0)));
        Assert.Equal(GrantTableStatus.Okay, _mapper.Unmap(map.Handle, bus: map.DeviceBusAddress));
        Assert.Equal(0UL, TestGuest.TypeCount(_granter.Data(0)));
        Assert.Equal(0, _granter.Status(20));
    }

    [Fact]
    public void BothKindsAreUndoneOneByOne()
    {
        GrantMapArgument map = _mapper.Map(1, 20, Device | Host, GrantGuest.Linear(7));
        Assert.Equal(3UL, TestGuest.References(_granter.Data(0)));
        Assert.Equal(2UL, TestGuest.TypeCount(_granter.Data(0)));
        Assert.Equal(GrantTableStatus.Okay, _mapper.Unmap(map.Handle, GrantGuest.Linear(7)));
        Assert.Equal(2UL, TestGuest.References(_granter.Data(0)));
        Assert.Equal(Both, _granter.Status(20));
        Assert.Equal(GrantTableStatus.Okay, _mapper.Unmap(map.Handle, bus: map.DeviceBusAddress));
        Assert.Equal(1UL, TestGuest.References(_granter.Data(0)));
        Assert.Equal(0, _granter.Status(20));
        map = _mapper.Map(1, 20, Device | Host | ReadOnly, GrantGuest.Linear(7));
        Assert.Equal(3UL, TestGuest.References(_granter.Data(0)));
        Assert.Equal(GrantTableStatus.Okay, _mapper.Unmap(map.Handle, GrantGuest.Linear(7), map.DeviceBusAddress));
        Assert.Equal(1UL, TestGuest.References(_granter.Data(0)));
        Assert.Equal(0, _granter.Table.EntriesInUse);
        _machine.Audit();
    }

    [Fact]
    public void MapErrorsLeaveNothing()
    {
        Assert.Equal(GrantTableStatus.BadReference, _mapper.Map(1, 20, ReadOnly).Status);
        Assert.Equal(GrantTableStatus.BadDomain, _mapper.Map(77, 20, Device).Status);
        Assert.Equal(GrantTableStatus.BadDomain, _mapper.Map(DomainId.Self, 20, Device).Status);
        Assert.Equal(GrantTableStatus.BadDomain, _mapper.Map(DomainId.Services, 20, Device).Status);
        Assert.Equal(GrantTableStatus.BadReference, _mapper.Map(1, 512, Device).Status);
        Assert.Equal(GrantTableStatus.GeneralError, _mapper.Map(1, 21, Device).Status);
        Assert.Equal(GrantTableStatus.GeneralError, _mapper.Map(1, 20, Host, GrantGuest.Linear(7) + (1UL << 40)).Status);
        Assert.Equal(GrantTableStatus.GeneralError, _mapper.Map(1, 20, Host | Device, 1UL << 63).Status);
        _granter.Grant(22, 2, _granter.L1Table);
        Assert.Equal(GrantTableStatus.GeneralError, _mapper.Map(1, 22, Device).Status);
        _granter.Grant(23, 2, _granter.Data(1), GrantTableFlags.ReadOnly);
        Assert.Equal(GrantTableStatus.GeneralError, _mapper.Map(1, 23, Device).Status);
        _granter.Grant(24, 2, _mapper.Data(1));
        Assert.Equal(GrantTableStatus.BadPage, _mapper.Map(1, 24, Device).Status);
        Assert.Equal(0, _mapper.Table.MapTracks.Used);
        Assert.Equal(0, _granter.Table.EntriesInUse);
        _machine.Audit();
    }

    [Fact]
    public void PartsOfPagesCannotBeMapped()
    {
        Assert.Equal(0, _granter.SetVersion(2));
        _granter.GrantPart(30, 2, _granter.Data(0), 0, 4096);
        Assert.Equal(GrantTableStatus.GeneralError, _mapper.Map(1, 30, Device | ReadOnly).Status);
        _granter.GrantTransitively(30, 2, 2, 1);
        Assert.Equal(GrantTableStatus.GeneralError, _mapper.Map(1, 30, Device | ReadOnly).Status);
        Assert.Equal(0, _granter.Status(30));
        _granter.Grant(30, 2, _granter.Data(0));
        GrantMapArgument map = _mapper.Map(1, 30, Device);
        Assert.Equal(GrantTableStatus.Okay, map.Status);
        Assert.Equal(Both, _granter.Status(30));
        Assert.Equal(GrantTableStatus.Okay, _mapper.Unmap(map.Handle, bus: map.DeviceBusAddress));
        Assert.Equal(0, _granter.Status(30));
    }

    [Fact]
    public void HandlesRunOut()
    {
        GrantGuest poor = new(_machine, 3, mapTrackFrames: 0);
        _granter.Grant(21, 3, _granter.Data(1));
        Assert.Equal(GrantTableStatus.NoSpace, poor.Map(1, 21, Device).Status);
        GrantGuest small = new(_machine, 4, mapTrackFrames: 1);
        _granter.Grant(22, 4, _granter.Data(1));
        for (int i = 0; i < 256; i++)
        {
            Assert.Equal(GrantTableStatus.Okay, small.Map(1, 22, Device | ReadOnly).Status);
        }

        Assert.Equal(GrantTableStatus.NoSpace, small.Map(1, 22, Device | ReadOnly).Status);
        Assert.Equal(GrantTableStatus.Okay, small.Unmap(77, bus: _granter.Data(1) << Cpu.PageShift));
        Assert.Equal(77u, small.Map(1, 22, Device | ReadOnly).Handle);
    }

    [Fact]
    public void WrongUnmapsChangeNothing()
    {
        GrantMapArgument map = _mapper.Map(1, 20, Host, GrantGuest.Linear(7));
        Assert.Equal(GrantTableStatus.BadHandle, _mapper.Unmap(uint.MaxValue, GrantGuest.Linear(7)));
        Assert.Equal(GrantTableStatus.BadHandle, _mapper.Unmap(map.Handle + 1, GrantGuest.Linear(7)));
        Assert.Equal(GrantTableStatus.GeneralError, _mapper.Unmap(map.Handle, GrantGuest.Linear(8)));
        Assert.Equal(GrantTableStatus.GeneralError, _mapper.Unmap(map.Handle, 1UL << 50));
        Assert.Equal(GrantTableStatus.Okay, _mapper.Unmap(map.Handle));
        _machine.Audit();
        Assert.Equal(GrantTableStatus.Okay, _mapper.Unmap(map.Handle, GrantGuest.Linear(7)));
    }

    [Fact]
    public void AMappingThatTheGuestOverwroteIsGoneWithItsReferences()
    {
        GrantMapArgument map = _mapper.Map(1, 20, Host, GrantGuest.Linear(7));
        Assert.Equal(0, _mapper.Guest.UpdateVa(GrantGuest.Linear(7), 0));
        Assert.Equal(1UL, TestGuest.References(_granter.Data(0)));
        Assert.Equal(GrantTableStatus.GeneralError, _mapper.Unmap(map.Handle, GrantGuest.Linear(7)));
        Assert.Equal(Both, _granter.Status(20));
        _machine.Audit();
        _mapper.Destroy(_machine);
        Assert.Equal(0, _granter.Status(20));
        Assert.Equal(0, _granter.Table.EntriesInUse);
        _granter.Destroy(_machine);
    }

    [Fact]
    public void AMappingMovesToAnotherAddress()
    {
        GrantMapArgument map = _mapper.Map(1, 20, Host, GrantGuest.Linear(7));
        Assert.Equal(0, _mapper.Guest.UpdateVa(GrantGuest.Linear(8), TestGuest.Entry(_mapper.Data(1), TestGuest.WritableFlags)));
        GrantUnmapAndReplaceArgument argument = new()
        {
            HostAddress = GrantGuest.Linear(7),
            NewAddress = GrantGuest.Linear(8),
            Handle = map.Handle,
        };
        Assert.Equal(GrantTableStatus.Okay, _mapper.Call(GrantTableOp.UnmapAndReplace, argument).Status);
        Assert.Equal(_mapper.Data(1), PageTableEntry.Frame(Entry(7)));
        Assert.Equal(0UL, Entry(8));
        Assert.Equal(0, _granter.Status(20));
        Assert.Equal(GrantTableStatus.BadHandle, _mapper.Call(GrantTableOp.UnmapAndReplace, argument).Status);
        _machine.Audit();
    }

    [Fact]
    public void BatchesArePreempted()
    {
        _mapper.Guest.Preempted = () => true;
        GrantMapArgument[] maps = Enumerable.Range(0, 100)
            .Select(i => new GrantMapArgument { Domain = 1, Reference = 20, Flags = Host, HostAddress = GrantGuest.Linear(20 + i) })
            .ToArray();
        Assert.Equal(0, _mapper.Call(GrantTableOp.MapGrantReference, maps));
        Assert.All(maps, m => Assert.Equal(GrantTableStatus.Okay, m.Status));
        Assert.Equal(100, _mapper.Table.MapTracks.Used);
        Assert.Equal(100UL, TestGuest.TypeCount(_granter.Data(0)));
        GrantUnmapArgument[] unmaps = maps
            .Select(m => new GrantUnmapArgument { Handle = m.Handle, HostAddress = m.HostAddress, Status = 99 })
            .ToArray();
        Assert.Equal(0, _mapper.Call(GrantTableOp.UnmapGrantReference, unmaps));
        Assert.All(unmaps, u => Assert.Equal(GrantTableStatus.Okay, u.Status));
        Assert.Equal(0, _mapper.Table.MapTracks.Used);
        Assert.Equal(0UL, TestGuest.TypeCount(_granter.Data(0)));
        _machine.Audit();
    }

    [Fact]
    public void AFaultInTheMiddleOfABatchKeepsWhatWasDone()
    {
        GrantMapArgument map = _mapper.Map(1, 20, Host, GrantGuest.Linear(7));
        _mapper.Guest.Use(0);
        ulong last = TestGuest.ArgumentBase + 64 * 1024 - 24;
        _mapper.Guest.Store<GrantUnmapArgument>(last, [new() { Handle = map.Handle, HostAddress = GrantGuest.Linear(7) }]);
        Assert.Equal(-Errno.EFAULT, _mapper.Guest.Call(Core.Grants.GrantTableHypercall.Handle, GrantTableOp.UnmapGrantReference, last, 2));
        Assert.Equal(0, _granter.Status(20));
        Assert.Equal(0, _mapper.Table.MapTracks.Used);
        _machine.Audit();
    }

    [Fact]
    public void AGuestMapsItsOwnGrant()
    {
        _granter.Grant(30, 1, _granter.Data(2));
        GrantMapArgument map = _granter.Map(1, 30, Host, GrantGuest.Linear(7));
        Assert.Equal(GrantTableStatus.Okay, map.Status);
        Assert.Equal(GrantTableStatus.Okay, _granter.Unmap(map.Handle, GrantGuest.Linear(7)));
        _machine.Audit();
    }

    [Fact]
    public void AGrantersFramesOutliveItWhileTheyAreMapped()
    {
        GrantMapArgument map = _mapper.Map(1, 20, Host, GrantGuest.Linear(7));
        GrantMapArgument device = _mapper.Map(1, 20, Device);
        _machine.Destroy(_granter.Domain);
        Assert.Equal(1UL, _granter.Domain.FrameCount);
        Assert.Equal(1, _granter.Table.EntriesInUse);
        Assert.Equal(GrantTableStatus.GeneralError, _mapper.Map(1, 20, Device).Status);
        Assert.Equal(GrantTableStatus.Okay, _mapper.Unmap(map.Handle, GrantGuest.Linear(7)));
        Assert.Equal(GrantTableStatus.Okay, _mapper.Unmap(device.Handle, bus: device.DeviceBusAddress));
        Assert.Equal(0UL, _granter.Domain.FrameCount);
        _granter.Release();
        Assert.True(_granter.Domain.OwnsNoFrames);
        _machine.Audit();
    }

    [Fact]
    public void TeardownOfTheMapperReleasesEverything()
    {
        _mapper.Map(1, 20, Host, GrantGuest.Linear(7));
        _mapper.Map(1, 20, Host | ReadOnly, GrantGuest.Linear(8));
        _mapper.Map(1, 20, Device);
        _mapper.Map(1, 20, Device | Host | ReadOnly, GrantGuest.Linear(9));
        _mapper.Destroy(_machine, new System.Random(2));
        Assert.Equal(0, _granter.Status(20));
        Assert.Equal(1UL, TestGuest.References(_granter.Data(0)));
        Assert.Equal(0UL, TestGuest.TypeCount(_granter.Data(0)));
        _granter.Destroy(_machine);
    }
}
