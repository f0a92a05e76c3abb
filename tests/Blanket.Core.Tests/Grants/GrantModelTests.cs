using System;
using System.Collections.Generic;
using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Grants;
using Blanket.Core.Memory;
using Blanket.Core.Tests.Memory;
using Blanket.Machine;
using FsCheck.Xunit;

namespace Blanket.Core.Tests.Grants;

/// <summary>Random grants, mappings, copies and pins of three guests, mostly nonsense, with all counts audited; lives and concurrent changes.</summary>
public sealed class GrantModelTests
{
    [Property(MaxTest = 25)]
    public void CountsAreExactWhateverGuestsDo(int seed) => new GrantModelRun(seed).Run(240);

    [Fact]
    public void NothingIsLeftAfterAThousandLives()
    {
        TestMachine machine = new(512);
        Random random = new(4);
        GrantGuest peer = new(machine, 1);
        peer.Grant(9, 2, peer.Data(0));
        ulong free = 0;
        for (int life = 0; life < 1000; life++)
        {
            GrantGuest guest = new(machine, 2, frames: 8);
            if (random.Next(2) == 0)
            {
                Assert.Equal(0, guest.SetVersion(2));
            }

            if (random.Next(2) == 0)
            {
                Assert.Equal(GrantTableStatus.Okay, guest.SetUp((uint)random.Next(1, 5)));
            }

            guest.Grant(10, DomainId.Services, guest.Data(0));
            Assert.Equal(0, GrantPin.TryPin(guest.Domain, 10, random.Next(2) == 0, out PinnedGrant pin));
            Assert.Equal(GrantTableStatus.Okay, guest.Map(1, 9, GrantMapFlags.Host | (uint)random.Next(2), GrantGuest.Linear(7)).Status);
            guest.Domain.IsDying = true;
            if (random.Next(2) == 0)
            {
                machine.Destroy(guest.Domain, random);
                GrantPin.Unpin(guest.Domain, in pin);
            }
            else
            {
                GrantPin.Unpin(guest.Domain, in pin);
                machine.Destroy(guest.Domain, random);
            }

            guest.Release(random);
            FrameQuarantine.Drain();
            Assert.True(guest.Domain.OwnsNoFrames);
            Assert.Equal(0, peer.Status(9));
            guest.FreeVcpus();
            if (life == 0)
            {
                free = FrameAllocator.FreeFrames;
            }
        }

        Assert.Equal(free, FrameAllocator.FreeFrames);
        machine.Audit();
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(2u)]
    public void EntriesThatChangeWhileTheyAreUsedDoNoHarm(uint version)
    {
        TestMachine machine = new(512);
        GrantGuest guest = new(machine, 1);
        Assert.Equal(0, guest.SetVersion(version));
        bool stop = false;
        Exception? failure = null;
        ulong table = guest.Table.SharedFrame(0);
        ulong[] frames = [guest.Data(0), guest.Data(1), guest.L1Table, 0, 0xffff_ffff];
        Thread hostile = new(() =>
        {
            Random random = new(9);
            while (!Volatile.Read(ref stop))
            {
                ulong entry = (ulong)random.Next(4, 8);
                ulong header = (ulong)random.Next(8) | ((ulong)DomainId.Services << 16) | (ulong)random.Next(2) << 8;
                ulong frame = frames[random.Next(frames.Length)];
                if (version == 1)
                {
                    PhysicalMemory.Write((table << Cpu.PageShift) + entry * 8, header | frame << 32);
                }
                else
                {
                    PhysicalMemory.Write((table << Cpu.PageShift) + entry * 16 + 8, frame);
                    PhysicalMemory.Write((table << Cpu.PageShift) + entry * 16, header | (ulong)random.NextInt64() << 32);
                }
            }
        });
        Thread service = new(() =>
        {
            try
            {
                PinAtRandom(guest, 10, 8_000);
            }
            catch (Exception exception)
            {
                failure = exception;
            }
        });
        hostile.Start();
        service.Start();
        PinAtRandom(guest, 11, 8_000);
        service.Join();
        Volatile.Write(ref stop, true);
        hostile.Join();
        Assert.Null(failure);
        Assert.Equal(0, guest.Table.EntriesInUse);
        machine.Audit();
        guest.Destroy(machine);
    }

    private static void PinAtRandom(GrantGuest guest, int seed, int rounds)
    {
        Random random = new(seed);
        byte[] buffer = new byte[32];
        List<PinnedGrant> pins = [];
        for (int i = 0; i < rounds; i++)
        {
            uint reference = (uint)random.Next(4, 8);
            if (random.Next(4) == 0)
            {
                _ = GrantCopy.TryCopyFromGrant(guest.Domain, reference, (uint)random.Next(5000), buffer);
                continue;
            }

            if (GrantPin.TryPin(guest.Domain, reference, random.Next(2) == 0, out PinnedGrant pin) == 0)
            {
                Assert.NotEqual(guest.L1Table, pin.IsWritable ? pin.Frame : 0);
                Assert.True(pin.Offset + pin.Length <= 4096);
                pins.Add(pin);
            }

            while (pins.Count > 6 || (pins.Count > 0 && random.Next(2) == 0))
            {
                int index = random.Next(pins.Count);
                GrantPin.Unpin(guest.Domain, pins[index]);
                pins.RemoveAt(index);
            }
        }

        foreach (PinnedGrant pin in pins)
        {
            GrantPin.Unpin(guest.Domain, in pin);
        }
    }
}

internal sealed class GrantModelRun
{
    private const int Guests = 3;
    private const int OperationsBetweenAudits = 6;

    private readonly Random _random;
    private readonly TestMachine _machine = new(768);
    private readonly GrantGuest[] _guests = new GrantGuest[Guests];
    private readonly List<(int Guest, GrantMapArgument Map)> _maps = [];
    private readonly List<(int Guest, PinnedGrant Pin)> _pins = [];

    public GrantModelRun(int seed)
    {
        _random = new Random(seed);
        for (int i = 0; i < Guests; i++)
        {
            _guests[i] = new GrantGuest(_machine, (ushort)(i + 1), frames: 12);
            _guests[i].Guest.Preempted = () => _random.Next(3) == 0;
        }
    }

    public void Run(int operations)
    {
        for (int i = 0; i < operations; i++)
        {
            Step(_random.Next(Guests));
            if (i % OperationsBetweenAudits == 0)
            {
                _machine.Audit();
            }
        }

        _machine.Audit();

        foreach ((int guest, PinnedGrant pin) in _pins)
        {
            GrantPin.Unpin(_guests[guest].Domain, in pin);
        }

        _pins.Clear();
        foreach (GrantGuest guest in _guests)
        {
            guest.Domain.IsDying = true;
        }

        foreach (GrantGuest guest in _guests)
        {
            _machine.Destroy(guest.Domain, _random);
            while (!GrantTeardown.TryReleaseMappings(guest.Domain))
            {
            }
        }

        foreach (GrantGuest guest in _guests)
        {
            Assert.Equal(0, guest.Table.EntriesInUse);
            guest.Release();
            FrameQuarantine.Drain();
            Assert.True(guest.Domain.OwnsNoFrames);
        }
    }

    private uint AnyReference() => (uint)_random.Next(8, 16);

    private ushort AnyDomain() => _random.Next(5) switch
    {
        0 => DomainId.Services,
        1 => (ushort)_random.Next(200),
        _ => (ushort)(1 + _random.Next(Guests)),
    };

    private ulong AnyFrame(GrantGuest guest) => _random.Next(8) switch
    {
        0 => guest.L1Table,
        1 => (ulong)_random.NextInt64() & 0xffff_ffff,
        2 => _guests[_random.Next(Guests)].Data(0),
        _ => guest.Data(_random.Next(4)),
    };

    private ulong AnyAddress(GrantGuest guest) => _random.Next(8) switch
    {
        0 => (ulong)_random.NextInt64(),
        1 => TestGuest.EntryAddress(guest.Guest.Frames[_random.Next(5)], _random.Next(1, 20)),
        _ => GrantGuest.Linear(_random.Next(6, 20)),
    };

    private void Step(int index)
    {
        GrantGuest guest = _guests[index];
        switch (_random.Next(14))
        {
            case 0 or 1 or 2:
                guest.Grant(AnyReference(), AnyDomain(), AnyFrame(guest), (ushort)(_random.Next(2) << 2), (ushort)_random.Next(4));
                break;
            case 3 or 4:
                uint flags = (uint)_random.Next(32);
                GrantMapArgument map = guest.Map(AnyDomain(), AnyReference(), flags, AnyAddress(guest));
                if (map.Status == GrantTableStatus.Okay)
                {
                    map.Flags = flags;
                    _maps.Add((index, map));
                }

                break;
            case 5 or 6:
                Unmap(guest, index);
                break;
            case 7:
                Copy(guest);
                break;
            case 8:
                if (GrantPin.TryPin(guest.Domain, AnyReference(), _random.Next(2) == 0, out PinnedGrant pin) == 0)
                {
                    _pins.Add((index, pin));
                }

                break;
            case 9:
                if (_pins.Count > 0)
                {
                    int which = _random.Next(_pins.Count);
                    GrantPin.Unpin(_guests[_pins[which].Guest].Domain, _pins[which].Pin);
                    _pins.RemoveAt(which);
                }

                break;
            case 10:
                guest.SetVersion((uint)_random.Next(1, 3));
                break;
            case 11:
                guest.Call(GrantTableOp.SwapGrantReference, new GrantSwapArgument { ReferenceA = AnyReference(), ReferenceB = AnyReference() });
                break;
            case 12:
                if (guest.Table.Version == 2)
                {
                    guest.GrantTransitively(AnyReference(), AnyDomain(), (ushort)(1 + _random.Next(Guests)), AnyReference());
                }
                else
                {
                    guest.SetUp((uint)_random.Next(6));
                }

                break;
            default:
                // A guest may also drop a mapping by a page-table write of its own.
                guest.Guest.Use(0);
                guest.Guest.UpdateVa(GrantGuest.Linear(_random.Next(6, 20)), 0);
                break;
        }
    }

    private void Unmap(GrantGuest guest, int index)
    {
        if (_maps.Count == 0 || _random.Next(4) == 0)
        {
            guest.Unmap((uint)_random.Next(20), AnyAddress(guest), _random.Next(2) == 0 ? 0 : AnyFrame(guest) << Cpu.PageShift);
            return;
        }

        int which = _random.Next(_maps.Count);
        (int owner, GrantMapArgument map) = _maps[which];
        ulong replacement = _random.Next(3) == 0 ? GrantGuest.Linear(_random.Next(6, 20)) : 0;
        if (replacement != 0)
        {
            _guests[owner].Call(
                GrantTableOp.UnmapAndReplace,
                new GrantUnmapAndReplaceArgument { Handle = map.Handle, HostAddress = map.HostAddress, NewAddress = replacement });
        }
        else
        {
            _guests[owner].Unmap(map.Handle, map.HostAddress, map.DeviceBusAddress);
        }

        _maps.RemoveAt(which);
    }

    private void Copy(GrantGuest guest)
    {
        ushort flags = (ushort)_random.Next(4);
        guest.Copy(AnyEnd(guest, (flags & 1) != 0), AnyEnd(guest, (flags & 2) != 0), (ushort)_random.Next(300), flags);
    }

    private GrantCopyPointer AnyEnd(GrantGuest guest, bool isGrant) => isGrant
        ? GrantGuest.OfGrant(AnyDomain(), AnyReference(), (ushort)_random.Next(4200))
        : GrantGuest.OwnFrame(AnyFrame(guest), (ushort)_random.Next(4200));
}
