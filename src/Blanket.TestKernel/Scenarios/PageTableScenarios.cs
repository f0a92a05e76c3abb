using System;
using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>Page tables that break the rules.</summary>
internal static unsafe class PageTableScenarios
{
    private const uint FirstPin = MmuExtendedCommand.PinL1Table;
    private const uint LastPin = MmuExtendedCommand.PinL4Table;

    /// <summary>Pinning, unpinning, and what must not be pinned.</summary>
    internal static void Pin()
    {
        Page page = Page.Take();
        for (uint level = FirstPin; level <= LastPin; level++)
        {
            Report.Equal("pinning a writable page"u8, Hypercall.MmuExtended(level, page.Mfn), -Errno.EINVAL);
        }

        Report.Equal("making a page read-only"u8, page.MakeReadOnly(), 0);
        for (uint level = FirstPin; level <= LastPin; level++)
        {
            Report.Equal("unpinning what is not pinned"u8, Unpin(page), -Errno.EINVAL);
            Report.Equal("pinning an empty table"u8, Hypercall.MmuExtended(level, page.Mfn), 0);
            for (uint other = FirstPin; other <= LastPin; other++)
            {
                Report.Equal("pinning it again"u8, Hypercall.MmuExtended(other, page.Mfn), -Errno.EINVAL);
            }

            Report.Equal("writable mapping of a pinned table"u8, page.MakeWritable(), -Errno.EBUSY);
            Report.Equal("unpinning"u8, Unpin(page), 0);
            Report.Equal("unpinning twice"u8, Unpin(page), -Errno.EINVAL);
        }

        Report.Equal("writable again"u8, page.MakeWritable(), 0);
        ReadOnlySpan<ulong> absurd = [0, 0xfee00, 0xb8, 0xffff_ffff, 0xf_ffff_ffff, 0xff_ffff_ffff, ulong.MaxValue, 1UL << 63, 1UL << 52];
        for (int i = 0; i < absurd.Length; i++)
        {
            for (uint level = FirstPin; level <= MmuExtendedCommand.UnpinTable; level++)
            {
                Report.Equal("pinning or unpinning no memory"u8, Hypercall.MmuExtended(level, absurd[i]), -Errno.EINVAL);
            }
        }

        Report.Equal("pinning the kernel's own L1 table as L2"u8, Hypercall.MmuExtended(MmuExtendedCommand.PinL2Table, KernelTable(2)), -Errno.EINVAL);
        Report.Equal("pinning the kernel's own L2 table as L1"u8, Hypercall.MmuExtended(MmuExtendedCommand.PinL1Table, KernelTable(3)), -Errno.EINVAL);
        Report.Equal("unpinning the kernel's own L1 table"u8, Hypercall.MmuExtended(MmuExtendedCommand.UnpinTable, KernelTable(2)), -Errno.EINVAL);
    }

    /// <summary>Tables whose contents are wrong in one place, at every level.</summary>
    internal static void WrongEntries()
    {
        Page page = Page.Take();
        Page lower = Page.Take();
        lower.MakeReadOnly();
        for (int level = 1; level <= 4; level++)
        {
            uint pin = FirstPin + (uint)level - 1;
            Wrong(page, pin, "writable page as target"u8, level == 1 ? 0 : Page.Take().Entry(PageEntry.Table), level == 1 ? 0 : -Errno.EINVAL);
            Wrong(page, pin, "L1 page itself, writable"u8, page.Entry(PageEntry.ReadWritePage), level == 1 ? -Errno.EBUSY : -Errno.EINVAL);
            Wrong(page, pin, "no memory"u8, PageEntry.Make(0xf_ffff_0000, PageEntry.Table), level == 1 ? -Errno.EPERM : -Errno.EINVAL);
            Wrong(page, pin, "local APIC"u8, PageEntry.Make(0xfee00, PageEntry.Table), level == 1 ? -Errno.EPERM : -Errno.EINVAL);
            Wrong(page, pin, "reserved bit 51"u8, lower.Entry(PageEntry.Table) | 1UL << 51, level == 1 ? -Errno.EPERM : -Errno.EINVAL);
            Wrong(page, pin, "available bits 52-58"u8, lower.Entry(PageEntry.Present | PageEntry.User) | 1UL << 58, level <= 2 ? 0 : -1);
            Wrong(page, pin, "uncached"u8, lower.Entry(PageEntry.Present | PageEntry.CacheDisable), -Errno.EINVAL);
            Wrong(page, pin, "write-through"u8, lower.Entry(PageEntry.Present | PageEntry.WriteThrough), -Errno.EINVAL);
            Wrong(page, pin, "large or PAT"u8, lower.Entry(PageEntry.Present | PageEntry.Large), -Errno.EINVAL);
        }
    }

    /// <summary>A wrong entry in the middle of a valid table; what was taken for those before must be given back.</summary>
    private static void Wrong(Page page, uint pin, ReadOnlySpan<byte> what, ulong entry, long expected)
    {
        if (expected == -1)
        {
            return;
        }

        page.MakeWritable();
        page.Words[3] = entry;
        page.MakeReadOnly();
        long result = Hypercall.MmuExtended(pin, page.Mfn);
        Report.Equal(what, result, expected);
        if (result == 0)
        {
            Unpin(page);
        }

        page.MakeWritable();
        page.Words[3] = 0;
    }

    /// <summary>L4 slots of the hypervisor: a guest's contents there count for nothing, and it cannot change them.</summary>
    internal static void HypervisorSlots()
    {
        Page root = Page.Take();
        CopyRoot(root);
        for (int slot = 256; slot < 272; slot++)
        {
            root.Words[slot] = 0xdead_beef_0000_0000 | (uint)slot << 12 | 7;
        }

        root.MakeReadOnly();
        Report.Equal("a root with anything in the hypervisor's slots"u8, Hypercall.MmuExtended(MmuExtendedCommand.PinL4Table, root.Mfn), 0);
        for (int slot = 256; slot < 272; slot++)
        {
            Report.Equal("update of a hypervisor's slot"u8, Hypercall.MmuUpdate(root.MachineAddress(slot), 0), -Errno.EINVAL);
            Report.Equal("update of a hypervisor's slot, own table"u8, Hypercall.MmuUpdate(root.MachineAddress(slot), root.Entry(PageEntry.Present)), -Errno.EINVAL);
        }

        for (int slot = 257; slot < 272; slot++)
        {
            Report.True("what the guest had in the slot is gone"u8, root.Words[slot] >> 32 != 0xdead_beef);
        }

        Report.Equal("as root"u8, Hypercall.MmuExtended(MmuExtendedCommand.NewBasePointer, root.Mfn), 0);
        Report.Equal("back to the first root"u8, Hypercall.MmuExtended(MmuExtendedCommand.NewBasePointer, Domain.RootFrame), 0);
        Unpin(root);
        Report.Equal("writable again"u8, root.MakeWritable(), 0);
        for (int slot = 256; slot < 272; slot++)
        {
            Report.Equal("nothing of the hypervisor's is left in it"u8, (long)root.Words[slot], 0);
        }

        ReadOnlySpan<ulong> addresses =
            [0xffff_8000_0000_0000, 0xffff_8040_0000_0000, 0xffff_8080_0000_0000, 0xffff_82d0_4020_0000, 0xffff_8300_0000_0000, 0xffff_87ff_ffff_f000, 0x8000_0000_0000, 0xffff_7fff_ffff_f000];
        for (int i = 0; i < addresses.Length; i++)
        {
            Report.Equal("update_va_mapping of the hypervisor's or no address"u8, Hypercall.UpdateMapping(addresses[i], 0), -Errno.EINVAL);
            Report.Equal("update_va_mapping with a page"u8, Hypercall.UpdateMapping(addresses[i], root.Entry(PageEntry.ReadOnlyPage)), -Errno.EINVAL);
        }
    }

    /// <summary>Root tables that are none.</summary>
    internal static void Roots()
    {
        Page page = Page.Take();
        ReadOnlySpan<uint> commands = [MmuExtendedCommand.NewBasePointer, MmuExtendedCommand.NewUserBasePointer];
        for (int i = 0; i < commands.Length; i++)
        {
            Report.Equal("a writable page as root"u8, Hypercall.MmuExtended(commands[i], page.Mfn), -Errno.EINVAL);
            Report.Equal("an L1 table as root"u8, Hypercall.MmuExtended(commands[i], KernelTable(2)), -Errno.EINVAL);
            Report.Equal("an L3 table as root"u8, Hypercall.MmuExtended(commands[i], KernelTable(4)), -Errno.EINVAL);
            Report.Equal("no memory as root"u8, Hypercall.MmuExtended(commands[i], 0xf_ffff_ffff), -Errno.EINVAL);
            Report.Equal("no memory as root"u8, Hypercall.MmuExtended(commands[i], ulong.MaxValue), -Errno.EINVAL);
            Report.Equal("the shared info page as root"u8, Hypercall.MmuExtended(commands[i], Domain.Start.SharedInfo >> 12), -Errno.EINVAL);
        }

        Report.Equal("no root for user mode"u8, Hypercall.MmuExtended(MmuExtendedCommand.NewUserBasePointer, 0), 0);
        Report.Equal("the kernel's root for user mode"u8, Hypercall.MmuExtended(MmuExtendedCommand.NewUserBasePointer, Domain.RootFrame), 0);
        Report.Equal("no root for user mode"u8, Hypercall.MmuExtended(MmuExtendedCommand.NewUserBasePointer, 0), 0);
    }

    /// <summary>Linear page tables: read-only entries to tables of the same level, no chains, no loops.</summary>
    internal static void Linear()
    {
        Page first = Page.Take();
        Page second = Page.Take();
        Page third = Page.Take();
        for (int level = 2; level <= 4; level++)
        {
            uint pin = FirstPin + (uint)level - 1;
            const ulong readOnly = PageEntry.Present | PageEntry.User | PageEntry.Accessed;
            first.Words[5] = first.Entry(readOnly | PageEntry.Writable);
            first.MakeReadOnly();
            Report.Equal("an entry to its own table, writable"u8, Hypercall.MmuExtended(pin, first.Mfn), -Errno.EINVAL);
            first.MakeWritable();
            first.Words[5] = first.Entry(readOnly);
            first.MakeReadOnly();
            second.MakeReadOnly();
            third.MakeReadOnly();
            Report.Equal("an entry to its own table"u8, Hypercall.MmuExtended(pin, first.Mfn), 0);
            Report.Equal("a table without linear entries"u8, Hypercall.MmuExtended(pin, second.Mfn), 0);
            Report.Equal("another"u8, Hypercall.MmuExtended(pin, third.Mfn), 0);
            Report.Equal("linear entry, writable"u8, Hypercall.MmuUpdate(first.MachineAddress(6), second.Entry(readOnly | PageEntry.Writable)), -Errno.EINVAL);
            Report.Equal("linear entry"u8, Hypercall.MmuUpdate(first.MachineAddress(6), second.Entry(readOnly)), 0);
            Report.Equal("chain: target gets a linear entry"u8, Hypercall.MmuUpdate(second.MachineAddress(6), third.Entry(readOnly)), -Errno.EINVAL);
            Report.Equal("loop: target refers back"u8, Hypercall.MmuUpdate(second.MachineAddress(6), first.Entry(readOnly)), -Errno.EINVAL);
            Report.Equal("chain: a table with linear entries becomes a target"u8, Hypercall.MmuUpdate(third.MachineAddress(6), first.Entry(readOnly)), -Errno.EINVAL);
            Report.Equal("unpinning a target"u8, Unpin(second), 0);
            Report.Equal("a target is still a table"u8, second.MakeWritable(), -Errno.EBUSY);
            Report.Equal("unpinning"u8, Unpin(first), 0);
            Report.Equal("unpinning"u8, Unpin(third), 0);
            Report.Equal("the target goes with the table"u8, second.MakeWritable(), 0);
            Report.Equal("ordinary memory again"u8, first.MakeWritable(), 0);
            Report.Equal("ordinary memory again"u8, third.MakeWritable(), 0);
            first.Bytes.Clear();
        }
    }

    /// <summary>Batches with a wrong request in the middle: what was before is done, what is behind is not, and the count is told.</summary>
    internal static void Batches()
    {
        const int length = 64;
        const int wrong = 37;
        Page table = Page.Take();
        Page target = Page.Take();
        table.MakeReadOnly();
        Report.Equal("an empty L1 table"u8, Hypercall.MmuExtended(FirstPin, table.Mfn), 0);
        MmuUpdate* requests = (MmuUpdate*)Page.Take().Address;
        for (int i = 0; i < length; i++)
        {
            requests[i].Pointer = table.MachineAddress(i) | ((i & 1) != 0 ? MmuUpdate.PreserveAccessedDirty : 0);
            requests[i].Value = target.Entry(PageEntry.ReadWritePage);
        }

        requests[wrong].Value = table.Entry(PageEntry.ReadWritePage);
        uint done = 0xffff;
        Report.Equal("a batch that maps its table writable"u8, Batch(requests, length, &done), -Errno.EBUSY);
        Report.Equal("requests done"u8, done, wrong);
        Report.True("the last one that was done"u8, table.Words[wrong - 1] != 0);
        Report.True("the one that failed"u8, table.Words[wrong] == 0);
        Report.True("the one behind it"u8, table.Words[wrong + 1] == 0);
        requests[wrong].Pointer = table.MachineAddress(wrong) | 7;
        Report.Equal("an unknown command"u8, Batch(requests, length, &done), -Errno.ENOSYS);
        Report.Equal("requests done"u8, done, wrong);
        requests[wrong].Pointer = 0xfee0_0000;
        Report.Equal("an entry in the local APIC"u8, Batch(requests, length, &done), -Errno.EINVAL);
        Report.Equal("requests done"u8, done, wrong);
        requests[wrong].Pointer = table.MachineAddress(wrong) | 4;
        Report.Equal("command 4"u8, Batch(requests, length, &done), -Errno.ENOSYS);
        Report.Equal("a batch in the hypervisor's memory"u8, Batch((MmuUpdate*)Domain.HypervisorStart, 1, &done), -Errno.EFAULT);
        Report.Equal("a batch that wraps around"u8, Batch((MmuUpdate*)0xffff_ffff_ffff_fff8, 0x1000_0000, &done), -Errno.EFAULT);
        Report.Equal("a batch that is not mapped"u8, Batch((MmuUpdate*)0x10_0000_0000, length, &done), -Errno.EFAULT);
        Report.Equal("requests done"u8, done, 0);
        Report.Equal("an empty batch"u8, Batch(null, 0, &done), 0);
        MmuExtendedOperation* operations = (MmuExtendedOperation*)requests;
        for (int i = 0; i < 3; i++)
        {
            operations[i] = default;
            operations[i].Command = MmuExtendedCommand.TlbFlushLocal;
        }

        operations[1].Command = 99;
        Report.Equal("an unknown operation"u8, Hypercall.Invoke(HypercallNumber.MmuextOp, (ulong)operations, 3, (ulong)(&done), DomainId.Self), -Errno.ENOSYS);
        Report.Equal("operations done"u8, done, 1);
        Report.Equal("unpinning"u8, Unpin(table), 0);
    }

    /// <summary>Entries of validated tables, one by one.</summary>
    internal static void Updates()
    {
        Page table = Page.Take();
        Page upper = Page.Take();
        Page data = Page.Take();
        table.MakeReadOnly();
        upper.Words[0] = table.Entry(PageEntry.Table);
        upper.MakeReadOnly();
        Report.Equal("an L2 table with an L1 table"u8, Hypercall.MmuExtended(MmuExtendedCommand.PinL2Table, upper.Mfn), 0);
        ulong entry = table.MachineAddress(0);
        Report.Equal("a data page"u8, Hypercall.MmuUpdate(entry, data.Entry(PageEntry.ReadWritePage)), 0);
        Report.Equal("a mapped page as table"u8, Hypercall.MmuUpdate(upper.MachineAddress(1), data.Entry(PageEntry.Table)), -Errno.EINVAL);
        Report.Equal("a large page"u8, Hypercall.MmuUpdate(upper.MachineAddress(1), data.Entry(PageEntry.Table | PageEntry.Large)), -Errno.EINVAL);
        Report.Equal("an L1 table writable"u8, Hypercall.MmuUpdate(entry, table.Entry(PageEntry.ReadWritePage)), -Errno.EBUSY);
        Report.Equal("an L2 table writable"u8, Hypercall.MmuUpdate(entry, upper.Entry(PageEntry.ReadWritePage)), -Errno.EBUSY);
        Report.Equal("the root writable"u8, Hypercall.MmuUpdate(entry, PageEntry.Make(Domain.RootFrame, PageEntry.ReadWritePage)), -Errno.EBUSY);
        Report.Equal("an L1 table read-only"u8, Hypercall.MmuUpdate(entry, table.Entry(PageEntry.ReadOnlyPage)), 0);
        Report.Equal("read-only to writable"u8, Hypercall.MmuUpdate(entry, table.Entry(PageEntry.ReadWritePage)), -Errno.EBUSY);
        Report.Equal("the local APIC"u8, Hypercall.MmuUpdate(entry, PageEntry.Make(0xfee00, PageEntry.ReadWritePage)), -Errno.EPERM);
        Report.Equal("the I/O APIC"u8, Hypercall.MmuUpdate(entry, PageEntry.Make(0xfec00, PageEntry.ReadOnlyPage)), -Errno.EPERM);
        Report.Equal("another domain's name"u8, Hypercall.MmuUpdate(entry, data.Entry(PageEntry.ReadOnlyPage), 0), -Errno.ESRCH);
        Report.Equal("DOMID_IO"u8, Hypercall.MmuUpdate(entry, data.Entry(PageEntry.ReadOnlyPage), DomainId.Io), -Errno.EPERM);
        Report.Equal("DOMID_XEN"u8, Hypercall.MmuUpdate(entry, data.Entry(PageEntry.ReadOnlyPage), DomainId.Xen), -Errno.EPERM);
        Report.Equal("DOMID_INVALID"u8, Hypercall.MmuUpdate(entry, data.Entry(PageEntry.ReadOnlyPage), DomainId.Invalid), -Errno.ESRCH);
        Report.Equal("another's tables"u8, Hypercall.MmuUpdate(entry, 0, DomainId.Self | (1U << 16)), -Errno.ESRCH);
        Report.Equal("a word of a data page"u8, Hypercall.MmuUpdate(data.MachineAddress(9), 0x1234_5678_9abc_def0), 0);
        Report.Equal("the word"u8, (long)data.Words[9], 0x1234_5678_9abc_def0);
        Report.Equal("machine-to-physical of an own frame"u8, Hypercall.MmuUpdate((data.Mfn << 12) | MmuUpdate.MachineToPhysical, data.Pfn), 0);
        Report.Equal("machine-to-physical of another's frame"u8, Hypercall.MmuUpdate((ForeignFrame() << 12) | MmuUpdate.MachineToPhysical, 1), -Errno.EINVAL);
        Report.Equal("machine-to-physical of no frame"u8, Hypercall.MmuUpdate((0xf_ffff_ffffUL << 12) | MmuUpdate.MachineToPhysical, 1), -Errno.EINVAL);
        Report.Equal("unpinning"u8, Unpin(upper), 0);
        Report.Equal("both are ordinary memory again"u8, upper.MakeWritable(), 0);
        Report.Equal("both are ordinary memory again"u8, table.MakeWritable(), 0);
    }

    /// <summary>Every frame of the machine that is not the domain's, by every hypercall that takes a frame.</summary>
    internal static void ForeignFrames()
    {
        ulong frames = (ulong)Hypercall.Memory(MemoryCommand.MaximumRamPage, null);
        Page target = Page.Take();
        long mapped = 0;
        long accepted = 0;
        long tried = 0;
        ulong grantFrame;
        GrantSetupArgument setup = default;
        setup.Domain = DomainId.Self;
        setup.FrameCount = 1;
        setup.FrameList = (ulong)(&grantFrame);
        Report.Equal("grant table"u8, Hypercall.Grant(GrantTableOp.SetupTable, &setup), 0);
        for (ulong mfn = 0; mfn < frames; mfn++)
        {
            // The grant table is shared with its domain.
            if (IsOwn(mfn) || mfn == grantFrame)
            {
                continue;
            }

            tried++;
            ulong entry = PageEntry.Make(mfn, PageEntry.Present | PageEntry.User | ((mfn & 1) != 0 ? PageEntry.Writable : 0));
            mapped += Hypercall.UpdateMapping(target.Address, entry) == 0 ? 1 : 0;
            if (mfn % 7 == 0)
            {
                accepted += AcceptForeign(mfn, target) ? 1 : 0;
            }
        }

        Report.True("there are frames of others"u8, tried > 1000);
        Report.Equal("frames of others that could be mapped"u8, mapped, 0);
        Report.Equal("frames of others that a hypercall took"u8, accepted, 0);
        Report.Equal("the page's own mapping"u8, target.MakeWritable(), 0);
    }

    private static bool AcceptForeign(ulong mfn, Page own)
    {
        bool accepted = false;
        for (uint level = FirstPin; level <= MmuExtendedCommand.UnpinTable; level++)
        {
            accepted |= Hypercall.MmuExtended(level, mfn) == 0;
        }

        accepted |= Hypercall.MmuExtended(MmuExtendedCommand.NewBasePointer, mfn) == 0;
        accepted |= mfn != 0 && Hypercall.MmuExtended(MmuExtendedCommand.NewUserBasePointer, mfn) == 0;
        accepted |= Hypercall.MmuExtended(MmuExtendedCommand.ClearPage, mfn) == 0;
        accepted |= Hypercall.MmuExtended(MmuExtendedCommand.CopyPage, mfn, own.Mfn) == 0;
        accepted |= Hypercall.MmuExtended(MmuExtendedCommand.CopyPage, own.Mfn, mfn) == 0;
        accepted |= Hypercall.MmuUpdate(mfn << 12, 0) == 0;
        accepted |= Hypercall.MmuUpdate(mfn << 12 | MmuUpdate.MachineToPhysical, 0) == 0;
        accepted |= Hypercall.Invoke(HypercallNumber.SetGdt, (ulong)(&mfn), 512) == 0;
        accepted |= Hypercall.Invoke(HypercallNumber.UpdateDescriptor, mfn << 12, 0) == 0;
        MemoryReservation reservation = default;
        reservation.ExtentStart = (ulong)(&mfn);
        reservation.ExtentCount = 1;
        reservation.DomainId = DomainId.Self;
        accepted |= Hypercall.Memory(MemoryCommand.DecreaseReservation, &reservation) != 0;
        ulong result = 0;
        MemoryExchange exchange = default;
        exchange.In = reservation;
        exchange.Out = reservation;
        exchange.Out.ExtentStart = (ulong)(&result);
        accepted |= Hypercall.Memory(MemoryCommand.Exchange, &exchange) == 0;
        GrantTransferArgument transfer = default;
        transfer.Frame = mfn;
        transfer.Domain = DomainId.Self;
        accepted |= Hypercall.Grant(GrantTableOp.Transfer, &transfer) == 0 && transfer.Status == 0;
        VcpuRegisterVcpuInfo info = default;
        info.Frame = mfn;
        accepted |= Hypercall.Vcpu(VcpuOp.RegisterVcpuInfo, 0, &info) == 0;
        EventChannelInitializeControl control = default;
        control.ControlFrame = mfn;
        accepted |= Hypercall.Event(EventChannelOp.InitializeControl, &control) == 0;
        EventChannelExpandArray array = default;
        array.ArrayFrame = mfn;
        accepted |= Hypercall.Event(EventChannelOp.ExpandArray, &array) == 0;
        return accepted;
    }

    /// <summary>Frames of the domain: its memory and the shared info page.</summary>
    private static bool IsOwn(ulong mfn)
    {
        ulong pfn = Domain.PseudoPhysicalOfMachine(mfn);
        return mfn == Domain.Start.SharedInfo >> 12 || (pfn < Domain.FrameCount && Domain.MachineOf(pfn) == mfn);
    }

    private static ulong ForeignFrame()
    {
        // What Xen returns is the number behind the last frame (common/memory.c, max_page): the table of machine frames may end there.
        ulong mfn = (ulong)Hypercall.Memory(MemoryCommand.MaximumRamPage, null) - 1;
        while (IsOwn(mfn))
        {
            mfn--;
        }

        return mfn;
    }

    private static long Batch(MmuUpdate* requests, uint count, uint* done) =>
        Hypercall.Invoke(HypercallNumber.MmuUpdate, (ulong)requests, count, (ulong)done, DomainId.Self);

    private static long Unpin(Page page) => Hypercall.MmuExtended(MmuExtendedCommand.UnpinTable, page.Mfn);

    /// <summary>The table that the kernel's entry of a level refers to.</summary>
    private static ulong KernelTable(int level) => PageEntry.FrameOf(*Domain.Entry(Domain.VirtualBase, level));

    internal static void CopyRoot(Page to)
    {
        ulong* from = (ulong*)Domain.Start.PageTableBase;
        for (int i = 0; i < PageEntry.EntriesPerTable; i++)
        {
            to.Words[i] = i is >= 256 and < 272 ? 0 : from[i];
        }
    }
}
