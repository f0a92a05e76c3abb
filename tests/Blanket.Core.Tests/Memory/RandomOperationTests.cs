using System;
using System.Collections.Generic;
using System.Text;
using Blanket.Abi.Xen;
using Blanket.Core.Memory;
using Blanket.Machine;
using FsCheck.Xunit;

namespace Blanket.Core.Tests.Memory;

/// <summary>
/// Random memory operations of two guests, most of them nonsense, preempted at random: after each one all counts are explained,
/// no TLB can hold what it must not, and at the end nothing is left.
/// </summary>
public sealed class RandomOperationTests
{
    private const int Operations = 300;

    [Property(MaxTest = 150)]
    public void CountsAreExactAfterEveryOperation(int seed) => new RandomRun(seed).Run(Operations);
}

internal sealed class RandomRun
{
    private const int FramesOfAGuest = 24;
    private const int Slots = 6;
    private const int LevelPeriod = 6;

    private readonly Random _random;
    private readonly TestMachine _machine = new(256);
    private readonly TestGuest[] _guests;
    private readonly ulong _freeAtStart;
    private readonly List<(int Guest, ulong Frame)> _references = [];
    private readonly List<(int Guest, ulong Frame)> _writable = [];
    private readonly TlbModel _tlb;
    private readonly StringBuilder _trace = new();
    private readonly int _seed;

    public RandomRun(int seed)
    {
        _seed = seed;
        _random = new Random(seed);
        _freeAtStart = FrameAllocator.FreeFrames;
        _guests =
        [
            new TestGuest(_machine, 1, FramesOfAGuest, 2, FramesOfAGuest + 4),
            new TestGuest(_machine, 2, FramesOfAGuest, 1, FramesOfAGuest + 4),
        ];
        _guests[0].Domain.MayManageMemory = true;
        _tlb = new TlbModel();
        foreach (TestGuest guest in _guests)
        {
            guest.Preempted = () => _random.Next(3) == 0;
        }
    }

    public void Run(int operations)
    {
        foreach (TestGuest guest in _guests)
        {
            guest.BuildTree(guest.Frames[4]);
            Assert.Equal(0, RootTable.Install(guest.Vcpu, guest.Frames[0]));
        }

        for (int i = 0; i < operations; i++)
        {
            int number = _random.Next(_guests.Length);
            TestGuest guest = _guests[number];
            guest.Use(_random.Next(guest.Domain.Vcpus.Length));
            TlbFlush.EnterVcpu(guest.Vcpu);
            string what = Execute(guest, number);
            _trace.Append(i).Append(": d").Append(guest.Domain.Id).Append('v').Append(guest.Vcpu.Id).Append(' ').AppendLine(what);
            FrameQuarantine.Drain();
            Audit();
            After?.Invoke();
            _tlb.Check(Describe);
            for (int access = 0; access < 4; access++)
            {
                _tlb.Access(guest, RandomLinear(), _random.Next(2) == 0);
            }
        }

        foreach ((_, ulong frame) in _references)
        {
            FrameReference.Put(frame);
        }

        foreach ((_, ulong frame) in _writable)
        {
            FrameReference.PutWritable(frame);
        }

        _references.Clear();
        _writable.Clear();
        foreach (TestGuest guest in _guests)
        {
            _machine.Destroy(guest.Domain, _random);
        }

        foreach (TestGuest guest in _guests)
        {
            if (!guest.Domain.OwnsNoFrames)
            {
                Assert.Fail("frames are left\n" + Describe());
            }
        }

        // The vCPUs' own frames and the machine-to-physical table stay.
        Assert.Equal(_freeAtStart, FrameAllocator.FreeFrames + (3UL << VcpuState.Order));
        for (ulong frame = 1; frame < FrameTable.Limit; frame++)
        {
            if (FrameTable.Of(frame).State == FrameState.Free)
            {
                Assert.True(PhysicalMemory.Frame(frame).IndexOfAnyExcept((byte)0) < 0, "a free frame is not scrubbed");
            }
        }
    }

    private void Audit()
    {
        List<ulong> references = [];
        List<ulong> writable = [];
        foreach ((_, ulong frame) in _references)
        {
            references.Add(frame);
        }

        foreach ((_, ulong frame) in _writable)
        {
            writable.Add(frame);
        }

        _machine.Audit(references, writable, Describe);
    }

    internal Action? After { get; set; }

    internal string Trace() => Describe();

    private string Describe() => $"seed {_seed}\n{_trace}";

    private string Execute(TestGuest guest, int number)
    {
        // Calls that a guest gives up half-way are part of the game.
        int goes = _random.Next(4) == 0 ? _random.Next(1, 3) : 100_000;
        int choice = _random.Next(100);
        if (choice < 25)
        {
            return Batch(guest, goes);
        }

        if (choice < 40)
        {
            return WriteData(guest);
        }

        if (choice < 58)
        {
            ulong frame = RandomFrame(guest);
            int level = _random.Next(8) == 0 ? _random.Next(1, 5) : Math.Max(1, LevelOf(guest, frame));
            return $"pin {frame:x} as L{level}: {guest.Pin(frame, level, goes)}";
        }

        if (choice < 68)
        {
            ulong frame = RandomFrame(guest);
            return $"unpin {frame:x}: {guest.Unpin(frame)}";
        }

        if (choice < 73)
        {
            ulong frame = _random.Next(5) == 0 ? RandomFrame(guest) : FrameOfLevel(guest, 4);
            uint command = _random.Next(2) == 0 ? MmuExtendedCommand.NewBasePointer : MmuExtendedCommand.NewUserBasePointer;
            return $"root {command} {frame:x}: {guest.Extended(command, frame, maximumGoes: goes)}";
        }

        if (choice < 78)
        {
            ulong linear = RandomLinear();
            ulong entry = RandomEntry(guest);
            return $"va {linear:x} = {entry:x}: {guest.UpdateVa(linear, entry, (ulong)_random.Next(8))}";
        }

        if (choice < 82)
        {
            return DirectWrite(guest);
        }

        if (choice < 86)
        {
            return Descriptors(guest);
        }

        if (choice < 92)
        {
            return Reservations(guest);
        }

        return Hold(guest, number);
    }

    private string Batch(TestGuest guest, int goes)
    {
        MmuUpdate[] requests = new MmuUpdate[_random.Next(1, 5)];
        StringBuilder text = new("mmu_update");
        for (int i = 0; i < requests.Length; i++)
        {
            ulong table = RandomFrame(guest);
            int slot = RandomSlot();
            ulong command = _random.Next(8) == 0 ? (ulong)_random.Next(5) : 0;
            requests[i].Pointer = TestGuest.EntryAddress(table, slot) | command;
            requests[i].Value = command == Blanket.Abi.Xen.MmuUpdate.MachineToPhysical
                ? (ulong)_random.Next(100)
                : RandomEntry(guest, table);
            text.Append($" [{table:x}:{slot}|{command} = {requests[i].Value:x}]");
        }

        uint domains = _random.Next(10) == 0 ? (uint)_random.Next(1, 4) : DomainId.Self;
        if (_random.Next(10) == 0)
        {
            domains |= (uint)_random.Next(2, 4) << 16;
        }

        long result = guest.MmuUpdate(requests, domains, TestGuest.ArgumentBase + 0x8000, goes);
        return text.Append($" dom {domains:x} goes {goes}: {result}").ToString();
    }

    /// <summary>What a guest writes through a writable mapping: any frame that is not of a type that forbids it.</summary>
    private string WriteData(TestGuest guest)
    {
        ulong frame = RandomFrame(guest);
        int slot = RandomSlot();
        ulong entry = RandomEntry(guest, frame);
        if (!FrameReference.TryGetWritable(guest.Domain, frame))
        {
            return "no write";
        }

        TestGuest.Set(frame, slot, entry);
        FrameReference.PutWritable(frame);
        return $"write [{frame:x}:{slot} = {entry:x}]";
    }

    private string DirectWrite(TestGuest guest)
    {
        int size = 1 << _random.Next(4);
        ulong linear = RandomLinear() + (ulong)_random.Next(Slots * 8 / size) * (ulong)size;
        ulong entry = RandomEntry(guest);
        bool compare = _random.Next(2) == 0;
        ulong expected = 0;
        if (compare && _random.Next(3) != 0 && GuestPageTableWrites.MayBePageTable(guest.Vcpu, linear))
        {
            ulong mapping = GuestPageWalk.ReadL1Entry(guest.Vcpu.KernelRoot, linear);
            expected = PhysicalMemory.Read<ulong>(TestGuest.EntryAddress(PageTableEntry.Frame(mapping), (int)(linear >> 3) & 511));
        }

        PageTableWriteResult result =
            GuestPageTableWrites.TryWrite(guest.Vcpu, linear, expected, entry, size, compare, out ulong seen);
        return $"direct {size} {linear:x} = {entry:x} (cmp {compare} {expected:x}): {result} {seen:x}";
    }

    private string Descriptors(TestGuest guest)
    {
        switch (_random.Next(5))
        {
            case 0:
                guest.Store<ulong>(TestGuest.ArgumentBase, [RandomFrame(guest), RandomFrame(guest)]);
                return $"set_gdt: {guest.Call(GuestDescriptorTable.Handle, TestGuest.ArgumentBase, (ulong)_random.Next(1025))}";
            case 1:
                return $"no gdt: {guest.Call(GuestDescriptorTable.Handle, TestGuest.ArgumentBase, 0)}";
            case 2:
                ulong linear = RandomLinear() & ~0xfffUL;
                return $"set_ldt {linear:x}: {guest.Extended(MmuExtendedCommand.SetLdt, linear, (ulong)_random.Next(1000))}";
            case 3:
                return $"map ldt: {LocalDescriptorTable.TryMap(guest.Vcpu, (uint)_random.Next(8000))}";
            default:
                ulong address = TestGuest.EntryAddress(RandomFrame(guest), RandomSlot());
                ulong descriptor = _random.Next(2) == 0 ? 0x00cf_f300_0000_ffff : (ulong)_random.NextInt64();
                return $"descriptor {address:x}: {guest.Call(UpdateDescriptorHypercall.Handle, address, descriptor)}";
        }
    }

    private string Reservations(TestGuest guest)
    {
        const ulong list = TestGuest.ArgumentBase + 0x1000;
        uint order = (uint)_random.Next(2);
        MemoryReservation reservation = new()
        {
            ExtentStart = list,
            ExtentCount = (ulong)_random.Next(1, 4),
            ExtentOrder = order,
            DomainId = DomainId.Self,
        };
        ulong[] frames = [RandomFrame(guest), RandomFrame(guest), RandomFrame(guest), RandomFrame(guest)];
        switch (_random.Next(4))
        {
            case 0:
                guest.Store<MemoryReservation>(TestGuest.ArgumentBase, [reservation]);
                guest.Store<ulong>(list, frames);
                long given = guest.Memory(MemoryCommand.DecreaseReservation);
                return $"decrease: {given}";
            case 1:
            case 2:
                guest.Store<MemoryReservation>(TestGuest.ArgumentBase, [reservation]);
                guest.Store<ulong>(list, [7, 8, 9, 10]);
                long got = guest.Memory(MemoryCommand.PopulatePhysmap);
                for (int i = 0; i < (int)got; i++)
                {
                    ulong first = guest.Load<ulong>(list + (ulong)i * 8);
                    for (ulong j = 0; j < 1UL << (int)order; j++)
                    {
                        guest.Frames.Add(first + j);
                    }
                }

                return $"populate: {got}";
            default:
                MemoryExchange exchange = new()
                {
                    In = reservation with { ExtentCount = 2, ExtentOrder = 0 },
                    Out = reservation with { ExtentCount = 1, ExtentOrder = 1, ExtentStart = list + 0x100 },
                };
                guest.Store<MemoryExchange>(TestGuest.ArgumentBase, [exchange]);
                guest.Store<ulong>(list, frames);
                guest.Store<ulong>(list + 0x100, [20]);
                long result = guest.Memory(MemoryCommand.Exchange);
                if (result == 0)
                {
                    ulong first = guest.Load<ulong>(list + 0x100);
                    guest.Frames.Add(first);
                    guest.Frames.Add(first + 1);
                }

                return $"exchange: {result}";
        }
    }

    /// <summary>References from elsewhere in the hypervisor, and grants of the other guest.</summary>
    private string Hold(TestGuest guest, int number)
    {
        switch (_random.Next(6))
        {
            case 0 when _references.Count > 0:
                int index = _random.Next(_references.Count);
                FrameReference.Put(_references[index].Frame);
                _references.RemoveAt(index);
                return "put";
            case 1 when _writable.Count > 0:
                int writable = _random.Next(_writable.Count);
                FrameReference.PutWritable(_writable[writable].Frame);
                _writable.RemoveAt(writable);
                return "put writable";
            case 2:
                return Grant(guest, _guests[1 - number]);
            case 3:
                ulong source = RandomFrame(guest);
                ulong destination = RandomFrame(guest);
                long result = _random.Next(2) == 0
                    ? guest.Extended(MmuExtendedCommand.ClearPage, destination)
                    : guest.Extended(MmuExtendedCommand.CopyPage, destination, source);
                return $"clear or copy {destination:x} from {source:x}: {result}";
            default:
                ulong frame = RandomFrame(guest);
                if (_random.Next(2) == 0)
                {
                    if (FrameReference.TryGet(guest.Domain, frame))
                    {
                        _references.Add((number, frame));
                    }
                }
                else if (FrameReference.TryGetWritable(guest.Domain, frame))
                {
                    _writable.Add((number, frame));
                }

                return $"hold {frame:x}";
        }
    }

    private string Grant(TestGuest mapper, TestGuest owner)
    {
        ulong frame = RandomFrame(owner);
        if (!FrameReference.TryGetWritable(owner.Domain, frame))
        {
            return "no grant";
        }

        ulong address = RandomLinear();
        ulong entry = TestGuest.Entry(frame, TestGuest.WritableFlags);
        bool installed = GrantEntry.TryInstall(mapper.Vcpu, address, false, entry);
        if (!installed)
        {
            FrameReference.PutWritable(frame);
            return "grant not installed";
        }

        if (_random.Next(2) == 0 && GrantEntry.TryRemove(mapper.Vcpu, address, false, frame, true, _random.Next(3) == 0 ? RandomLinear() : 0))
        {
            TlbFlush.All(mapper.Domain);
            FrameReference.PutWritable(frame);
            return $"grant of {frame:x} at {address:x} and back";
        }

        return $"grant of {frame:x} at {address:x}";
    }

    private ulong RandomFrame(TestGuest guest)
    {
        int choice = _random.Next(40);
        return choice switch
        {
            0 => (ulong)_random.Next(300),
            1 => _guests[_random.Next(2)].Frames[_random.Next(FramesOfAGuest)],
            < 12 => guest.Frames[_random.Next(6)],
            < 36 => guest.Frames[_random.Next(FramesOfAGuest)],
            _ => guest.Frames[_random.Next(guest.Frames.Count)],
        };
    }

    private int RandomSlot() => _random.Next(20) == 0 ? _random.Next(512) : _random.Next(Slots);

    /// <summary>
    /// An entry for a table. Every frame has a level that it is mostly used at, by its place in the guest's list, so that trees
    /// come about: entries mostly refer to the level below, now and then to the same level (linear) or to anything.
    /// </summary>
    private ulong RandomEntry(TestGuest guest, ulong table = 0)
    {
        int choice = _random.Next(30);
        if (choice < 4)
        {
            return choice < 3 ? 0 : (ulong)_random.NextInt64() & ~1UL;
        }

        int level = LevelOf(guest, table);
        bool linear = level > 1 && _random.Next(8) == 0;
        ulong frame = table == 0 || choice == 4
            ? RandomFrame(guest)
            : FrameOfLevel(guest, linear ? level : level - 1);
        ulong flags = linear || _random.Next(3) == 0 ? TestGuest.Flags : TestGuest.WritableFlags;
        if (_random.Next(25) == 0)
        {
            flags ^= 1UL << _random.Next(12);
        }

        if (_random.Next(25) == 0)
        {
            flags ^= 1UL << _random.Next(52, 64);
        }

        return TestGuest.Entry(frame, flags);
    }

    private static int LevelOf(TestGuest guest, ulong frame)
    {
        int index = guest.Frames.IndexOf(frame);
        return index < 0 ? 1 : 4 - (index % LevelPeriod);
    }

    /// <summary>A frame mostly used at a level; level 0 and below are data.</summary>
    private ulong FrameOfLevel(TestGuest guest, int level)
    {
        int first = level > 0 ? 4 - level : _random.Next(4, LevelPeriod);
        return guest.Frames[first + LevelPeriod * _random.Next(FramesOfAGuest / LevelPeriod)];
    }

    private ulong RandomLinear()
    {
        ulong slots = 0;
        for (int level = 0; level < 4; level++)
        {
            slots = slots << 9 | (uint)(_random.Next(3) == 0 ? _random.Next(Slots) : 0);
        }

        return slots << Cpu.PageShift;
    }
}
