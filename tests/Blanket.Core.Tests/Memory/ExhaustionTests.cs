using System;
using System.Collections.Generic;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Events;
using Blanket.Core.Grants;
using Blanket.Core.Memory;
using Blanket.Core.Tests.Events;
using Blanket.Core.Tests.Grants;
using Blanket.Machine;

namespace Blanket.Core.Tests.Memory;

/// <summary>Memory that runs out is an errno for who asked; afterwards all counts are right, and what failed can be had.</summary>
public sealed class ExhaustionTests : IDisposable
{
    private const int Ports = 600;
    private const int Mappings = 300;
    private const int Extents = 6;
    private const ulong List = TestGuest.ArgumentBase + 0x1000;
    private const ulong NewList = TestGuest.ArgumentBase + 0x2000;

    /// <inheritdoc/>
    public void Dispose() => FrameAllocator.FailEvery(0);

    [Fact]
    public void WhicheverAllocationFailsWhoAskedIsTold()
    {
        int failures = 1;
        for (int interval = 1; failures != 0; interval++)
        {
            TestMachine machine = new(1024);
            VcpuNotifier.Install(new RecordingNotifier());
            ServiceChannels.Initialize(EventMachine.MaximumChannels, 1);
            ulong free = FrameAllocator.FreeFrames + TableFrames.Count;
            GrantGuest granter = new(machine, 1);
            GrantGuest guest = new(machine, 2, frames: 16, maximumFrames: 4);
            guest.Domain.CreateEventChannels(4095);
            guest.Domain.MaximumFrames = 64;
            granter.Grant(9, 2, granter.Data(0));

            FrameAllocator.FailEvery(interval);
            Requests(guest);
            failures = FrameAllocator.Failures;
            FrameAllocator.FailEvery(0);
            machine.Audit();

            // Nothing of what failed is lost for good.
            Assert.Equal(0, Requests(guest));
            machine.Audit();
            End(machine, guest);
            End(machine, granter);
            FrameQuarantine.Drain();
            Assert.Equal(free, FrameAllocator.FreeFrames + TableFrames.Count);
        }
    }

    /// <summary>Without a frame for anybody but arenas, requests fail, and frames that come back are used.</summary>
    [Fact]
    public void TheLastFramesAreForArenas()
    {
        TestMachine machine = new(256);
        TestGuest guest = new(machine, 1, 4, 1, 200);
        FrameAllocator.ArenaReserve = FrameAllocator.FreeFrames - 2;
        try
        {
            guest.Store<ulong>(List, [100, 101, 102]);
            Assert.Equal(2, Populate(guest, 3));
            Assert.Equal(FrameAllocator.ArenaReserve, FrameAllocator.FreeFrames);
            Assert.False(FrameAllocator.TryAllocateZeroed(out _));
            Assert.True(FrameAllocator.TryAllocateForArena(0, out ulong frame));
            FrameAllocator.Free(frame);
        }
        finally
        {
            FrameAllocator.ArenaReserve = 0;
        }
    }

    /// <summary>What makes the hypervisor allocate for a guest. All of it is undone again, but what only grows.</summary>
    /// <returns>How many requests were refused for want of memory; any other error fails the test.</returns>
    private static int Requests(GrantGuest guest) =>
        UsePorts(guest.Domain) + UseServiceChannels(guest.Domain) + GrowGrants(guest) + Map(guest) + ChangeReservation(guest.Guest) + SetMemoryMap(guest.Guest);

    private static int Count(long result, long refused)
    {
        Assert.True(result == 0 || result == refused, $"{result}");
        return result == 0 ? 0 : 1;
    }

    private static int UsePorts(Domain domain)
    {
        int refused = 0;
        List<uint> ports = [];
        for (int i = 0; i < Ports; i++)
        {
            int result = domain.Events!.AllocateUnbound(DomainId.Self, out uint port);
            refused += Count(result, -Errno.ENOMEM);
            if (result == 0)
            {
                ports.Add(port);
            }
        }

        foreach (uint port in ports)
        {
            Assert.Equal(0, domain.Events!.Close(port));
        }

        return refused;
    }

    private static int UseServiceChannels(Domain domain)
    {
        int refused = 0;
        List<ServiceChannel> channels = [];
        for (int i = 0; i < EventMachine.MaximumChannels; i++)
        {
            int result = ServiceChannels.AllocateUnbound(domain, out uint port);
            refused += Count(result, -Errno.ENOMEM);
            if (result == 0)
            {
                result = ServiceChannels.TryBind(domain, port, new Deaf(), out ServiceChannel channel);
                refused += Count(result, -Errno.ENOSPC);
                if (result == 0)
                {
                    channels.Add(channel);
                }
                else
                {
                    Assert.Equal(0, domain.Events!.Close(port));
                }
            }
        }

        foreach (ServiceChannel channel in channels)
        {
            channel.Close();
        }

        // A channel that was raised is free when its handler has had its turn.
        ServiceChannels.RunPending();

        return refused;
    }

    private sealed class Deaf : ServiceChannelHandler
    {
        public override void Raised()
        {
        }
    }

    private static int GrowGrants(GrantGuest guest)
    {
        int refused = Count(guest.SetUp(3), GrantTableStatus.GeneralError);
        refused += Count(guest.SetVersion(2), -Errno.ENOMEM);
        refused += Count(guest.SetUp(4), GrantTableStatus.GeneralError);
        Assert.Equal(0, guest.SetVersion(1));
        return refused;
    }

    private static int Map(GrantGuest guest)
    {
        int refused = 0;
        List<GrantMapArgument> maps = [];
        for (int i = 0; i < Mappings; i++)
        {
            GrantMapArgument map = guest.Map(1, 9, GrantMapFlags.Device | GrantMapFlags.ReadOnly);
            refused += Count(map.Status, GrantTableStatus.NoSpace);
            if (map.Status == GrantTableStatus.Okay)
            {
                maps.Add(map);
            }
        }

        foreach (GrantMapArgument map in maps)
        {
            Assert.Equal(GrantTableStatus.Okay, guest.Unmap(map.Handle, 0, map.DeviceBusAddress));
        }

        return refused;
    }

    private static long Populate(TestGuest guest, ulong count)
    {
        guest.Store<MemoryReservation>(TestGuest.ArgumentBase, [new() { ExtentStart = List, ExtentCount = count, DomainId = DomainId.Self }]);
        return guest.Memory(MemoryCommand.PopulatePhysmap);
    }

    private static int ChangeReservation(TestGuest guest)
    {
        ulong[] pseudoPhysical = new ulong[Extents];
        for (int i = 0; i < Extents; i++)
        {
            pseudoPhysical[i] = 100 + (ulong)i;
        }

        guest.Store<ulong>(List, pseudoPhysical);
        long populated = Populate(guest, Extents);
        Assert.InRange(populated, 0, Extents);
        guest.Store<ulong>(NewList, pseudoPhysical);
        guest.Store<MemoryExchange>(
            TestGuest.ArgumentBase,
            [
                new()
                {
                    In = new() { ExtentStart = List, ExtentCount = (ulong)populated, DomainId = DomainId.Self },
                    Out = new() { ExtentStart = NewList, ExtentCount = (ulong)populated, DomainId = DomainId.Self },
                },
            ]);
        int refused = Count(guest.Memory(MemoryCommand.Exchange), -Errno.ENOMEM) + (populated == Extents ? 0 : 1);
        ulong exchanged = guest.Load<MemoryExchange>(TestGuest.ArgumentBase).ExchangedCount;
        for (ulong i = 0; i < exchanged; i++)
        {
            guest.Store<ulong>(List + i * 8, [guest.Load<ulong>(NewList + i * 8)]);
        }

        guest.Store<MemoryReservation>(TestGuest.ArgumentBase, [new() { ExtentStart = List, ExtentCount = (ulong)populated, DomainId = DomainId.Self }]);
        Assert.Equal(populated, guest.Memory(MemoryCommand.DecreaseReservation));
        return refused;
    }

    private static int SetMemoryMap(TestGuest guest)
    {
        guest.Store<ulong>(TestGuest.ArgumentBase, [DomainId.Self, 2, List]);
        return Count(guest.Memory(MemoryCommand.SetMemoryMap), -Errno.ENOMEM);
    }

    private static void End(TestMachine machine, GrantGuest guest)
    {
        guest.Domain.IsDying = true;
        if (guest.Domain.Events != null)
        {
            while (!guest.Domain.Events.TryCloseAll())
            {
            }

            guest.Domain.Events.Release();
        }

        guest.Destroy(machine);
        FrameQuarantine.Drain();
        guest.FreeVcpus();
    }
}
