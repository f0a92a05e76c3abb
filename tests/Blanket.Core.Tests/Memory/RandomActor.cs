using System;
using System.Collections.Generic;
using System.Text;
using Blanket.Abi.Xen;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Memory;

/// <summary>Does random memory operations, most of them nonsense, as a guest (and now and then as a user of the guest's frames).</summary>
internal sealed class RandomActor(TestGuest guest, TestGuest other, Random random)
{
    /// <summary>Frames that every guest begins with.</summary>
    public const int FramesOfAGuest = 24;

    private const int Slots = 6;
    private const int LevelPeriod = 6;

    /// <summary>References that it holds.</summary>
    public List<ulong> References { get; } = [];

    /// <summary>Writable references that it holds.</summary>
    public List<ulong> Writable { get; } = [];

    /// <summary>The guest that it acts as.</summary>
    public TestGuest Guest => guest;

    /// <summary>Drops all references.</summary>
    public void LetGo()
    {
        foreach (ulong frame in References)
        {
            FrameReference.Put(frame);
        }

        foreach (ulong frame in Writable)
        {
            FrameReference.PutWritable(frame);
        }

        References.Clear();
        Writable.Clear();
    }

    /// <summary>Does one operation, as the vCPU that the guest uses.</summary>
    /// <returns>What it was, for the trace.</returns>
    public string Execute()
    {
        // Calls that a guest gives up half-way are part of the game.
        int goes = random.Next(4) == 0 ? random.Next(1, 3) : 100_000;
        int choice = random.Next(100);
        if (choice < 25)
        {
            return Batch(goes);
        }

        if (choice < 40)
        {
            return WriteData();
        }

        if (choice < 58)
        {
            ulong frame = RandomFrame(guest);
            int level = random.Next(8) == 0 ? random.Next(1, 5) : Math.Max(1, LevelOf(frame));
            return $"pin {frame:x} as L{level}: {guest.Pin(frame, level, goes)}";
        }

        if (choice < 68)
        {
            ulong frame = RandomFrame(guest);
            return $"unpin {frame:x}: {guest.Unpin(frame)}";
        }

        if (choice < 73)
        {
            ulong frame = random.Next(5) == 0 ? RandomFrame(guest) : FrameOfLevel(4);
            uint command = random.Next(2) == 0 ? MmuExtendedCommand.NewBasePointer : MmuExtendedCommand.NewUserBasePointer;
            return $"root {command} {frame:x}: {guest.Extended(command, frame, maximumGoes: goes)}";
        }

        if (choice < 78)
        {
            ulong linear = RandomLinear();
            ulong entry = RandomEntry();
            return $"va {linear:x} = {entry:x}: {guest.UpdateVa(linear, entry, (ulong)random.Next(8))}";
        }

        if (choice < 82)
        {
            return DirectWrite();
        }

        if (choice < 86)
        {
            return Descriptors();
        }

        if (choice < 92)
        {
            return Reservations();
        }

        return Hold();
    }

    private string Batch(int goes)
    {
        MmuUpdate[] requests = new MmuUpdate[random.Next(1, 5)];
        StringBuilder text = new("mmu_update");
        for (int i = 0; i < requests.Length; i++)
        {
            ulong table = RandomFrame(guest);
            int slot = RandomSlot();
            ulong command = random.Next(8) == 0 ? (ulong)random.Next(5) : 0;
            requests[i].Pointer = TestGuest.EntryAddress(table, slot) | command;
            requests[i].Value = command == Blanket.Abi.Xen.MmuUpdate.MachineToPhysical
                ? (ulong)random.Next(100)
                : RandomEntry(table);
            text.Append($" [{table:x}:{slot}|{command} = {requests[i].Value:x}]");
        }

        uint domains = random.Next(10) == 0 ? (uint)random.Next(1, 4) : DomainId.Self;
        if (random.Next(10) == 0)
        {
            domains |= (uint)random.Next(2, 4) << 16;
        }

        long result = guest.MmuUpdate(requests, domains, TestGuest.ArgumentBase + 0x8000, goes);
        return text.Append($" dom {domains:x} goes {goes}: {result}").ToString();
    }

    /// <summary>What a guest writes through a writable mapping: any frame that is not of a type that forbids it.</summary>
    private string WriteData()
    {
        ulong frame = RandomFrame(guest);
        int slot = RandomSlot();
        ulong entry = RandomEntry(frame);
        if (!FrameReference.TryGetWritable(guest.Domain, frame))
        {
            return "no write";
        }

        TestGuest.Set(frame, slot, entry);
        FrameReference.PutWritable(frame);
        return $"write [{frame:x}:{slot} = {entry:x}]";
    }

    private string DirectWrite()
    {
        int size = 1 << random.Next(4);
        ulong linear = RandomLinear() + (ulong)random.Next(Slots * 8 / size) * (ulong)size;
        ulong entry = RandomEntry();
        bool compare = random.Next(2) == 0;
        ulong expected = 0;
        if (compare && random.Next(3) != 0 && GuestPageTableWrites.MayBePageTable(guest.Vcpu, linear))
        {
            ulong mapping = GuestPageWalk.ReadL1Entry(guest.Vcpu.KernelRoot, linear);
            ulong table = PageTableEntry.Frame(mapping);
            expected = FrameTable.IsValid(table) ? TestGuest.Get(table, (int)(linear >> 3) & 511) : 0;
        }

        PageTableWriteResult result =
            GuestPageTableWrites.TryWrite(guest.Vcpu, linear, expected, entry, size, compare, out ulong seen);
        return $"direct {size} {linear:x} = {entry:x} (cmp {compare} {expected:x}): {result} {seen:x}";
    }

    private string Descriptors()
    {
        switch (random.Next(5))
        {
            case 0:
                guest.Store<ulong>(TestGuest.ArgumentBase, [RandomFrame(guest), RandomFrame(guest)]);
                return $"set_gdt: {guest.Call(GuestDescriptorTable.Handle, TestGuest.ArgumentBase, (ulong)random.Next(1025))}";
            case 1:
                return $"no gdt: {guest.Call(GuestDescriptorTable.Handle, TestGuest.ArgumentBase, 0)}";
            case 2:
                ulong linear = RandomLinear() & ~0xfffUL;
                return $"set_ldt {linear:x}: {guest.Extended(MmuExtendedCommand.SetLdt, linear, (ulong)random.Next(1000))}";
            case 3:
                return $"map ldt: {LocalDescriptorTable.TryMap(guest.Vcpu, (uint)random.Next(8000))}";
            default:
                ulong address = TestGuest.EntryAddress(RandomFrame(guest), RandomSlot());
                ulong descriptor = random.Next(2) == 0 ? 0x00cf_f300_0000_ffff : (ulong)random.NextInt64();
                return $"descriptor {address:x}: {guest.Call(UpdateDescriptorHypercall.Handle, address, descriptor)}";
        }
    }

    private string Reservations()
    {
        const ulong list = TestGuest.ArgumentBase + 0x1000;
        uint order = (uint)random.Next(2);
        MemoryReservation reservation = new()
        {
            ExtentStart = list,
            ExtentCount = (ulong)random.Next(1, 4),
            ExtentOrder = order,
            DomainId = DomainId.Self,
        };
        ulong[] frames = [RandomFrame(guest), RandomFrame(guest), RandomFrame(guest), RandomFrame(guest)];
        switch (random.Next(4))
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
    private string Hold()
    {
        switch (random.Next(6))
        {
            case 0 when References.Count > 0:
                int index = random.Next(References.Count);
                FrameReference.Put(References[index]);
                References.RemoveAt(index);
                return "put";
            case 1 when Writable.Count > 0:
                int writable = random.Next(Writable.Count);
                FrameReference.PutWritable(Writable[writable]);
                Writable.RemoveAt(writable);
                return "put writable";
            case 2:
                return Grant();
            case 3:
                ulong source = RandomFrame(guest);
                ulong destination = RandomFrame(guest);
                long result = random.Next(2) == 0
                    ? guest.Extended(MmuExtendedCommand.ClearPage, destination)
                    : guest.Extended(MmuExtendedCommand.CopyPage, destination, source);
                return $"clear or copy {destination:x} from {source:x}: {result}";
            default:
                ulong frame = RandomFrame(guest);
                if (random.Next(2) == 0)
                {
                    if (FrameReference.TryGet(guest.Domain, frame))
                    {
                        References.Add(frame);
                    }
                }
                else if (FrameReference.TryGetWritable(guest.Domain, frame))
                {
                    Writable.Add(frame);
                }

                return $"hold {frame:x}";
        }
    }

    private string Grant()
    {
        TestGuest mapper = guest;
        TestGuest owner = other;
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

        if (random.Next(2) == 0 && GrantEntry.TryRemove(mapper.Vcpu, address, false, frame, true, random.Next(3) == 0 ? RandomLinear() : 0))
        {
            TlbFlush.All(mapper.Domain);
            FrameReference.PutWritable(frame);
            return $"grant of {frame:x} at {address:x} and back";
        }

        return $"grant of {frame:x} at {address:x}";
    }

    private ulong RandomFrame(TestGuest of)
    {
        int choice = random.Next(40);
        return choice switch
        {
            0 => (ulong)random.Next(300),
            1 => (random.Next(2) == 0 ? guest : other).Frames[random.Next(FramesOfAGuest)],
            < 12 => of.Frames[random.Next(6)],
            < 36 => of.Frames[random.Next(FramesOfAGuest)],
            _ => of.Frames[random.Next(of.Frames.Count)],
        };
    }

    private int RandomSlot() => random.Next(20) == 0 ? random.Next(512) : random.Next(Slots);

    /// <summary>
    /// An entry for a table. Every frame has a level that it is mostly used at, by its place in the guest's list, so that trees
    /// come about: entries mostly refer to the level below, now and then to the same level (linear) or to anything.
    /// </summary>
    private ulong RandomEntry(ulong table = 0)
    {
        int choice = random.Next(30);
        if (choice < 4)
        {
            return choice < 3 ? 0 : (ulong)random.NextInt64() & ~1UL;
        }

        int level = LevelOf(table);
        bool linear = level > 1 && random.Next(8) == 0;
        ulong frame = table == 0 || choice == 4
            ? RandomFrame(guest)
            : FrameOfLevel(linear ? level : level - 1);
        ulong flags = linear || random.Next(3) == 0 ? TestGuest.Flags : TestGuest.WritableFlags;
        if (random.Next(25) == 0)
        {
            flags ^= 1UL << random.Next(12);
        }

        if (random.Next(25) == 0)
        {
            flags ^= 1UL << random.Next(52, 64);
        }

        return TestGuest.Entry(frame, flags);
    }

    private int LevelOf(ulong frame)
    {
        int index = guest.Frames.IndexOf(frame);
        return index < 0 ? 1 : 4 - (index % LevelPeriod);
    }

    /// <summary>A frame mostly used at a level; level 0 and below are data.</summary>
    private ulong FrameOfLevel(int level)
    {
        int first = level > 0 ? 4 - level : random.Next(4, LevelPeriod);
        return guest.Frames[first + LevelPeriod * random.Next(FramesOfAGuest / LevelPeriod)];
    }

    public ulong RandomLinear()
    {
        ulong slots = 0;
        for (int level = 0; level < 4; level++)
        {
            slots = slots << 9 | (uint)(random.Next(3) == 0 ? random.Next(Slots) : 0);
        }

        return slots << Cpu.PageShift;
    }
}
