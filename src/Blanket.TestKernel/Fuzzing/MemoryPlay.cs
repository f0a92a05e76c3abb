using System.Threading;
using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>Random page-table work and reservations on the pool.</summary>
internal static unsafe class MemoryPlay
{
    /// <summary>Changes how a hot frame is mapped at home. A frame known to be pinned must not become writable.</summary>
    internal static bool Map()
    {
        int hot = Pool.Pick();
        ulong mfn = Pool.Mfn(hot);
        ulong flags;
        switch (Dice.Below(4))
        {
            case 0:
                flags = 0;
                break;
            case 1:
                flags = PageEntry.ReadOnlyPage;
                break;
            case 2:
                flags = PageEntry.ReadWritePage | PageEntry.NoExecute;
                break;
            default:
                flags = PageEntry.ReadWritePage;
                break;
        }

        bool isPinned = Pool.Pinned(hot) != 0;
        long result = Hypercall.UpdateMapping(Pool.Address(hot), mfn == Pool.None || flags == 0 ? 0 : PageEntry.Make(mfn, flags));
        if (result == 0)
        {
            Pool.Writable(hot) = (byte)((flags & PageEntry.Writable) != 0 && mfn != Pool.None ? 1 : 0);
        }

        if (Pool.IsAlone && isPinned && mfn != Pool.None && (flags & PageEntry.Writable) != 0)
        {
            Report.Equal("a pinned table became writable"u8, result, -Errno.EBUSY);
        }

        return result == 0;
    }

    /// <summary>Writes entries into a hot frame, when it may be mapped writable.</summary>
    internal static bool Fill()
    {
        int hot = Pool.Pick();
        ulong mfn = Pool.Mfn(hot);
        if (mfn == Pool.None || Hypercall.UpdateMapping(Pool.Address(hot), PageEntry.Make(mfn, PageEntry.ReadWritePage)) != 0)
        {
            return false;
        }

        Pool.Writable(hot) = 1;
        ulong* words = (ulong*)Pool.Address(hot);
        if (Dice.Once(2))
        {
            for (int i = 0; i < PageEntry.EntriesPerTable; i++)
            {
                words[i] = 0;
            }
        }

        for (uint i = Dice.Below(12); i > 0; i--)
        {
            words[Dice.Below(PageEntry.EntriesPerTable)] = Dice.Once(40) ? Dice.Next() << 8 : Pool.AnyEntry();
        }

        if (Dice.Once(2) && Hypercall.UpdateMapping(Pool.Address(hot), PageEntry.Make(mfn, PageEntry.ReadOnlyPage)) == 0)
        {
            Pool.Writable(hot) = 0;
        }

        return true;
    }

    /// <summary>Pins or unpins. A frame known to be writable cannot be pinned.</summary>
    internal static bool Pin()
    {
        int hot = Pool.Pick();
        ulong mfn = Pool.Mfn(hot);
        if (Dice.Once(3))
        {
            long unpinned = Hypercall.MmuExtended(MmuExtendedCommand.UnpinTable, mfn);
            if (unpinned == 0)
            {
                Pool.Pinned(hot) = 0;
            }

            return unpinned == 0;
        }

        long pinned = Hypercall.MmuExtended(MmuExtendedCommand.PinL1Table + Dice.Below(4), mfn);
        if (pinned == 0)
        {
            if (Pool.IsAlone)
            {
                Report.True("a writable page was pinned"u8, Pool.Writable(hot) == 0);
            }

            Pool.Pinned(hot) = 1;
        }

        return pinned == 0;
    }

    /// <summary>A batch of updates of entries: in hot frames, and of those that map them at home.</summary>
    internal static bool Update()
    {
        MmuUpdate* requests = (MmuUpdate*)VcpuRegion.Current->Scratch;
        uint count = 1 + Dice.Below(Dice.Once(8) ? 200u : 8u);
        for (uint i = 0; i < count; i++)
        {
            ulong pointer;
            if (Dice.Once(3))
            {
                int hot = Pool.Pick();
                Pool.Writable(hot) = 0;
                pointer = Pool.HomeEntry(hot);
            }
            else
            {
                pointer = (Pool.ExpendableFrame() << PageEntry.PageShift) + Dice.Below(4096);
                pointer &= Dice.Once(50) ? ulong.MaxValue : ~7UL;
            }

            if (Dice.Once(8))
            {
                pointer |= Dice.Below(8);
            }

            requests[i].Pointer = pointer;
            requests[i].Value = Pool.AnyEntry();
        }

        // Machine-to-physical updates would make the pool lose track of itself.
        for (uint i = 0; i < count; i++)
        {
            if ((requests[i].Pointer & MmuUpdate.CommandMask) == MmuUpdate.MachineToPhysical && !Dice.Once(4))
            {
                requests[i].Pointer &= ~MmuUpdate.CommandMask;
            }
            else if ((requests[i].Pointer & MmuUpdate.CommandMask) == MmuUpdate.MachineToPhysical)
            {
                int hot = Pool.Pick();
                requests[i].Pointer = (Pool.Mfn(hot) << PageEntry.PageShift) | MmuUpdate.MachineToPhysical;
                requests[i].Value = Pool.Pfn(hot);
            }
        }

        uint done = 0;
        uint foreign = Dice.DomainNumber() | (Dice.Once(10) ? (Dice.Below(8) + 1) << 16 : 0);
        ulong address = Dice.Once(20) ? Pool.AnyAddress() : (ulong)requests;
        ulong result = (ulong)(Dice.Once(8) ? null : &done);
        return Hypercall.Invoke(HypercallNumber.MmuUpdate, address, Dice.Once(30) ? Dice.Interesting() : count, result, foreign) == 0;
    }

    /// <summary>A batch of mmuext operations, without those that change the kernel's root.</summary>
    internal static bool Extended()
    {
        MmuExtendedOperation* operations = (MmuExtendedOperation*)VcpuRegion.Current->Scratch;
        uint count = 1 + Dice.Below(4);
        for (uint i = 0; i < count; i++)
        {
            uint command = Dice.Below(22);
            operations[i] = default;
            operations[i].Command = command == MmuExtendedCommand.NewBasePointer ? MmuExtendedCommand.NewUserBasePointer : command;
            switch (command)
            {
                case MmuExtendedCommand.SetLdt:
                    operations[i].Argument1 = Dice.Once(3) ? Pool.AnyAddress() : Pool.Address(Pool.Pick());
                    operations[i].Argument2 = Dice.Once(3) ? Dice.Interesting() : Dice.Below(513);
                    break;
                case MmuExtendedCommand.CopyPage:
                    operations[i].Argument1 = Pool.ExpendableFrame();
                    operations[i].Argument2 = Pool.AnyFrame();
                    break;
                case MmuExtendedCommand.TlbFlushMulti:
                case MmuExtendedCommand.InvalidatePageMulti:
                    operations[i].Argument1 = Pool.AnyAddress();
                    operations[i].Argument2 = Pool.AnyAddress();
                    break;
                case MmuExtendedCommand.InvalidatePageAll:
                case MmuExtendedCommand.InvalidatePageLocal:
                    operations[i].Argument1 = Pool.AnyAddress();
                    break;
                default:
                    operations[i].Argument1 = Pool.ExpendableFrame();
                    operations[i].Argument2 = Dice.Interesting();
                    break;
            }
        }

        uint done = 0;
        long result = Hypercall.Invoke(HypercallNumber.MmuextOp, (ulong)operations, count, (ulong)(&done), Dice.DomainNumber());
        Forget();
        return result == 0;
    }

    /// <summary>update_va_mapping of any address with any flags.</summary>
    internal static bool UpdateAny()
    {
        ulong address = Pool.AnyAddress();
        if (address - Domain.VirtualBase < Pool.Address(0) - Domain.VirtualBase)
        {
            address = Pool.Address(Pool.Pick());
        }

        ulong flags = Dice.Below(4) | (Dice.Once(3) ? Pool.AnyAddress() & ~3UL : 4);
        ulong number = Dice.Once(3) ? HypercallNumber.UpdateVaMappingOtherdomain : HypercallNumber.UpdateVaMapping;
        bool result = Hypercall.Invoke(number, address, Pool.AnyEntry(), flags, Dice.DomainNumber()) == 0;
        ForgetWritable();
        return result;
    }

    /// <summary>A copy of the kernel's root with something in the free slots serves as root for a while.</summary>
    internal static bool SwitchRoot()
    {
        // What others may write to while this kernel runs on it must not be its root.
        int hot = Pool.Pick();
        Page page = Page.Of(Pool.IsAlone ? Pool.Pfn(hot) : VcpuRegion.Current->RootPage);
        ulong mfn = Volatile.Read(ref Domain.MachineOf(page.Pfn));
        if (mfn == Pool.None || (Pool.IsAlone && Pool.Pinned(hot) != 0) || page.MakeWritable() != 0)
        {
            return false;
        }

        PageTableScenarios.CopyRoot(page);
        for (uint i = Dice.Below(4); i > 0; i--)
        {
            page.Words[1 + Dice.Below(255)] = Pool.AnyEntry();
        }

        page.Words[256 + Dice.Below(16)] = Pool.AnyEntry();
        page.MakeReadOnly();
        if (Pool.IsAlone)
        {
            Pool.Writable(hot) = 0;
        }

        bool result = Hypercall.MmuExtended(MmuExtendedCommand.NewBasePointer, mfn) == 0;
        if (result)
        {
            if (Pool.IsAlone)
            {
                Report.Equal("the root in use became writable"u8, page.MakeWritable(), -Errno.EBUSY);
            }

            Hypercall.MmuExtended(MmuExtendedCommand.TlbFlushAll);
            Domain.Require(Hypercall.MmuExtended(MmuExtendedCommand.NewBasePointer, Domain.RootFrame));
        }

        return result;
    }

    /// <summary>Writes an entry in place, through the read-only mapping of a table: the hypervisor emulates it, or it faults.</summary>
    internal static bool WriteInPlace()
    {
        int hot = Pool.Pick();
        ulong address = Pool.Address(hot) + (Dice.Once(20) ? Dice.Below(4090) : Dice.Below(512) * 8);
        if (Pool.Writable(hot) == 0)
        {
            Trap.Call(Dice.Once(2) ? &Store : &CompareExchange, address, Pool.AnyEntry());
            return Trap.Vector == Trap.None;
        }

        return false;
    }

    private static ulong Store(ulong address, ulong value)
    {
        Volatile.Write(ref *(ulong*)address, value);
        return 0;
    }

    private static ulong CompareExchange(ulong address, ulong value)
    {
        ulong old = *(ulong*)address;
        return Interlocked.CompareExchange(ref *(ulong*)address, value, old);
    }

    /// <summary>Gives frames away, mapped and in use or not, in extents of different sizes.</summary>
    internal static bool Decrease()
    {
        MemoryReservation reservation = default;
        ulong* extents = (ulong*)VcpuRegion.Current->Scratch;
        uint count = 1 + Dice.Below(5);
        for (uint i = 0; i < count; i++)
        {
            extents[i] = Pool.ExpendableFrame();
        }

        reservation.ExtentStart = Dice.Once(30) ? Pool.AnyAddress() : (ulong)extents;
        reservation.ExtentCount = Dice.Once(30) ? Dice.Interesting() : count;
        reservation.ExtentOrder = Dice.Once(20) ? (uint)Dice.Interesting() : 0;
        reservation.DomainId = Dice.DomainNumber();
        reservation.Flags = Dice.Once(10) ? (uint)Dice.Next() : 0;
        long result = Hypercall.Memory(MemoryCommand.DecreaseReservation, &reservation);
        Pool.Resynchronise();
        return result > 0;
    }

    /// <summary>Gets frames back for those that were given away, a little too many at times.</summary>
    internal static bool Populate()
    {
        MemoryReservation reservation = default;
        ulong* extents = (ulong*)VcpuRegion.Current->Scratch;
        int* hots = stackalloc int[8];
        uint count = 0;
        for (int hot = 0; hot < Pool.Hot && count < 8; hot++)
        {
            bool isMine = hot % Vcpus.Count == VcpuRegion.Current->Number;
            if (isMine && Pool.Mfn(hot) == Pool.None)
            {
                hots[count] = hot;
                extents[count++] = Pool.Pfn(hot);
            }
        }

        uint command = Dice.Once(4) ? MemoryCommand.IncreaseReservation : MemoryCommand.PopulatePhysmap;
        if (count == 0)
        {
            extents[count++] = Dice.Interesting();
        }

        reservation.ExtentStart = (ulong)extents;
        reservation.ExtentCount = count;
        reservation.ExtentOrder = Dice.Once(10) ? (uint)Dice.Interesting() : 0;
        reservation.DomainId = Dice.DomainNumber();
        reservation.Flags = Dice.Once(10) ? (uint)Dice.Next() : 0;
        bool isPlain = reservation.ExtentOrder == 0;
        long result = Hypercall.Memory(command, &reservation);
        for (uint i = 0; isPlain && i < result && extents[0] < Domain.FrameCount * 1024; i++)
        {
            // increase_reservation does not set the machine-to-physical entry.
            if (command == MemoryCommand.IncreaseReservation)
            {
                Hypercall.MmuUpdate((extents[i] << PageEntry.PageShift) | MmuUpdate.MachineToPhysical, Pool.Pfn(hots[i]));
            }

            Pool.Gain(hots[i], extents[i]);
        }

        return result > 0;
    }

    /// <summary>Exchanges frames for others.</summary>
    internal static bool Exchange()
    {
        MemoryExchange* exchange = (MemoryExchange*)VcpuRegion.Current->Scratch;
        ulong* given = (ulong*)(VcpuRegion.Current->Scratch + 512);
        ulong* got = (ulong*)(VcpuRegion.Current->Scratch + 1024);
        uint count = 1 + Dice.Below(4);
        int* hots = stackalloc int[4];
        for (uint i = 0; i < count; i++)
        {
            hots[i] = Pool.Pick();
            given[i] = Dice.Once(8) ? Pool.ExpendableFrame() : Pool.Mfn(hots[i]);
            got[i] = Pool.Pfn(hots[i]);
        }

        *exchange = default;
        exchange->In.ExtentStart = (ulong)given;
        exchange->In.ExtentCount = count;
        exchange->In.DomainId = Dice.DomainNumber();
        exchange->Out.ExtentStart = (ulong)got;
        exchange->Out.ExtentCount = count;
        exchange->Out.DomainId = DomainId.Self;
        if (Dice.Once(8))
        {
            exchange->Out.ExtentOrder = Dice.Below(4);
            exchange->Out.ExtentCount = count >> (int)exchange->Out.ExtentOrder;
        }

        if (Dice.Once(10))
        {
            exchange->Out.Flags = 32 + Dice.Below(10);
        }

        if (Dice.Once(20))
        {
            exchange->ExchangedCount = Dice.Interesting();
        }

        bool isPlain = exchange->Out.ExtentOrder == 0;
        long result = Hypercall.Memory(MemoryCommand.Exchange, exchange);
        ulong exchanged = exchange->ExchangedCount;
        Pool.Resynchronise();
        for (uint i = 0; isPlain && i < count && i < exchanged; i++)
        {
            if (Domain.PseudoPhysicalOfMachine(got[i] & 0xff_ffff) == Pool.Pfn(hots[i]))
            {
                Pool.Gain(hots[i], got[i]);
            }
        }

        return result == 0;
    }

    /// <summary>Every other command of memory_op with an argument of random words.</summary>
    internal static bool AnyMemory()
    {
        ulong* words = (ulong*)VcpuRegion.Current->Scratch;
        for (int i = 0; i < 16; i++)
        {
            words[i] = Dice.Interesting();
        }

        ulong command = Dice.Once(4) ? Dice.Interesting() : Dice.Below(32);
        switch (command & MemoryCommand.Mask)
        {
            // These take frames of the kernel when they are lucky.
            case MemoryCommand.DecreaseReservation:
            case MemoryCommand.Exchange:
                command ^= 6;
                break;
            default:
                break;
        }

        bool result = Hypercall.Invoke(HypercallNumber.MemoryOp, command, Dice.Once(4) ? Pool.AnyAddress() : (ulong)words) >= 0;
        Pool.Resynchronise();
        return result;
    }

    /// <summary>Descriptor tables of hot frames, and selectors of theirs.</summary>
    internal static bool Descriptors()
    {
        ulong* frames = (ulong*)VcpuRegion.Current->Scratch;
        switch (Dice.Below(5))
        {
            case 0:
                for (int i = 0; i < 16; i++)
                {
                    frames[i] = Pool.ExpendableFrame();
                }

                return Hypercall.Invoke(HypercallNumber.SetGdt, (ulong)frames, Dice.Once(4) ? Dice.Interesting() : Dice.Below(7168)) == 0;
            case 1:
                return Hypercall.Invoke(HypercallNumber.UpdateDescriptor, (Pool.ExpendableFrame() << PageEntry.PageShift) + Dice.Below(512) * 8, Descriptor()) == 0;
            case 2:
                return Hypercall.Invoke(HypercallNumber.SetGdt, (ulong)frames, 0) == 0;
            case 3:
                return Hypercall.MmuExtended(MmuExtendedCommand.SetLdt, Pool.Address(Pool.Pick()), Dice.Below(1024)) == 0;
            default:
                Trap.GuardedCall(Selectors.LoaderOf((int)Dice.Below(4)), Dice.Below(0x10000), 0);
                bool result = Trap.Vector == Trap.None;
                Selectors.Reset();
                return result;
        }
    }

    private static ulong Descriptor()
    {
        const ulong flatCode = 0x00af_fb00_0000_ffff;
        const ulong flatData = 0x00cf_f300_0000_ffff;
        switch (Dice.Below(4))
        {
            case 0:
                return flatCode;
            case 1:
                return flatData;
            case 2:
                return flatData ^ (1UL << (int)Dice.Below(64));
            default:
                return Dice.Next() << 8;
        }
    }

    private static void Forget()
    {
        for (int hot = 0; hot < Pool.Hot; hot++)
        {
            Pool.Pinned(hot) = 0;
        }
    }

    private static void ForgetWritable()
    {
        for (int hot = 0; hot < Pool.Hot; hot++)
        {
            Pool.Writable(hot) = 0;
        }
    }
}
