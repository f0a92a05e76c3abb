using System;
using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>Arguments of hypercalls: bad pointers, huge counts, nesting, names of other domains.</summary>
internal static unsafe class ArgumentScenarios
{
    private const ulong Nowhere = 0x12_3456_7000;

    /// <summary>Pointers to the hypervisor, to nothing, to what is not canonical, to a read-only page, and across the end of a page.</summary>
    internal static void Pointers()
    {
        Page readOnly = Page.Take();
        readOnly.MakeReadOnly();
        Page first = Page.Take();
        Page second = Page.Take();
        second.Unmap();
        ReadOnlySpan<ulong> unreadable =
        [
            Domain.HypervisorStart, 0xffff_82d0_4020_0000, 0xffff_8300_0000_0000, Domain.HypervisorEnd - 8, Nowhere, 0x8000_0000_0000, 0x8000_0000_0000_0000,
            0xffff_7fff_ffff_fff8, 0xffff_ffff_ffff_fffc, second.Address, second.Address - 1,
        ];
        for (int i = 0; i < unreadable.Length; i++)
        {
            ulong bad = unreadable[i];
            Report.Equal("memory_op"u8, Hypercall.Invoke(HypercallNumber.MemoryOp, MemoryCommand.Exchange, bad), -Errno.EFAULT);
            Report.Equal("mmu_update"u8, Hypercall.Invoke(HypercallNumber.MmuUpdate, bad, 1, 0, DomainId.Self), -Errno.EFAULT);
            Report.Equal("mmuext_op"u8, Hypercall.Invoke(HypercallNumber.MmuextOp, bad, 1, 0, DomainId.Self), -Errno.EFAULT);
            Report.Equal("event_channel_op"u8, Hypercall.Event(EventChannelOp.Status, (void*)bad), -Errno.EFAULT);
            Report.Equal("grant_table_op"u8, Hypercall.Grant(GrantTableOp.QuerySize, (void*)bad), -Errno.EFAULT);
            Report.Equal("grant copy"u8, Hypercall.Grant(GrantTableOp.Copy, (void*)bad), -Errno.EFAULT);
            Report.Equal("sched_op poll"u8, Hypercall.Sched(SchedOp.Poll, (void*)bad), -Errno.EFAULT);
            Report.Equal("multicall"u8, Hypercall.Invoke(HypercallNumber.Multicall, bad, 1), -Errno.EFAULT);
            Report.Equal("set_trap_table"u8, Hypercall.Invoke(HypercallNumber.SetTrapTable, bad), -Errno.EFAULT);
            Report.Equal("set_gdt"u8, Hypercall.Invoke(HypercallNumber.SetGdt, bad, 512), -Errno.EFAULT);
            Report.Equal("xen_version"u8, Hypercall.Invoke(HypercallNumber.XenVersion, 1, bad), -Errno.EFAULT);
            Report.Equal("callback_op"u8, Hypercall.Invoke(HypercallNumber.CallbackOp, Callback.Register, bad), -Errno.EFAULT);
            Report.Equal("vcpu_op"u8, Hypercall.Vcpu(VcpuOp.RegisterVcpuInfo, 0, (void*)bad), -Errno.EFAULT);
        }

        // Written to, what can only be read faults just the same.
        Report.Equal("xen_version to a read-only page"u8, Hypercall.Invoke(HypercallNumber.XenVersion, 1, readOnly.Address), -Errno.EFAULT);
        Report.Equal("get_runstate_info to a read-only page"u8, Hypercall.Vcpu(VcpuOp.GetRunStateInfo, 0, (void*)readOnly.Address), -Errno.EFAULT);
        Report.Equal("status across the end of a page"u8, Hypercall.Event(EventChannelOp.Status, (void*)(first.Address + PageEntry.PageSize - 4)), -Errno.EFAULT);
        Report.True("the page before is as it was"u8, first.Words[0] == 0 && first.Words[511] == 0);
    }

    /// <summary>Counts that no array can have.</summary>
    internal static void Counts()
    {
        Page page = Page.Take();
        ulong address = page.Address;
        Report.Equal("mmu_update"u8, Hypercall.Invoke(HypercallNumber.MmuUpdate, address, 0x7fff_ffff, 0, DomainId.Self), -Errno.EFAULT);
        page.Words[0] = HypercallNumber.XenVersion;
        page.Words[1] = 0xdead;
        Report.Equal("multicall"u8, Hypercall.Invoke(HypercallNumber.Multicall, address, 0xffff_ffff), -Errno.EFAULT);
        Report.Equal("its first call was not made"u8, (long)page.Words[1], 0xdead);
        Report.Equal("grant copy"u8, Hypercall.Grant(GrantTableOp.Copy, (void*)Nowhere, 0x7fff_ffff), -Errno.EFAULT);
        Report.Equal("grants, a negative count"u8, Hypercall.Grant(GrantTableOp.MapGrantReference, (void*)address, 0x8000_0000), -Errno.EINVAL);
        Report.Equal("descriptors"u8, Hypercall.Invoke(HypercallNumber.SetGdt, address, 7169), -Errno.EINVAL);
        Report.Equal("descriptors"u8, Hypercall.Invoke(HypercallNumber.SetGdt, address, 0xffff_ffff), -Errno.EINVAL);
        Report.Equal("LDT, too many entries"u8, Hypercall.MmuExtended(MmuExtendedCommand.SetLdt, address, 8193), -Errno.EINVAL);
        Report.Equal("LDT, not at a page"u8, Hypercall.MmuExtended(MmuExtendedCommand.SetLdt, address + 8, 8), -Errno.EINVAL);
        SchedPoll poll = default;
        poll.Ports = address;
        poll.PortCount = 129;
        poll.Timeout = 1;
        Report.Equal("ports to poll"u8, Hypercall.Sched(SchedOp.Poll, &poll), -Errno.EINVAL);
        MemoryReservation reservation = default;
        reservation.DomainId = DomainId.Self;
        reservation.ExtentCount = ulong.MaxValue;
        reservation.ExtentStart = address;
        Report.True("extents"u8, Hypercall.Memory(MemoryCommand.DecreaseReservation, &reservation) <= 0);
        reservation.ExtentCount = 1;
        reservation.ExtentOrder = 40;
        Report.Equal("extents of a size that does not exist"u8, Hypercall.Memory(MemoryCommand.PopulatePhysmap, &reservation), 0);
        reservation.ExtentOrder = uint.MaxValue;
        Report.Equal("extents of a size that does not exist"u8, Hypercall.Memory(MemoryCommand.DecreaseReservation, &reservation), 0);
        Report.Equal("an unknown hypercall"u8, Hypercall.Invoke(63), -Errno.ENOSYS);
        Report.Equal("an unknown hypercall"u8, Hypercall.Invoke(0x1_0000_0011), -Errno.ENOSYS);
        Report.Equal("an unknown hypercall"u8, Hypercall.Invoke(ulong.MaxValue), -Errno.ENOSYS);
    }

    /// <summary>Multicalls: inside themselves, and results in their place.</summary>
    internal static void Multicall()
    {
        const int words = 8;
        ulong* entries = Domain.TakePage();
        entries[0] = HypercallNumber.Multicall;
        entries[2] = (ulong)entries;
        entries[3] = 1;
        entries[words] = HypercallNumber.XenVersion;
        entries[2 * words] = 63;
        Report.Equal("a batch with a batch in it"u8, Hypercall.Invoke(HypercallNumber.Multicall, (ulong)entries, 3), 0);
        Report.Equal("the batch in it"u8, (long)entries[1], -Errno.EINVAL);
        Report.Equal("the call behind it"u8, (long)entries[words + 1], (4 << 16) + 17);
        Report.Equal("an unknown call"u8, (long)entries[2 * words + 1], -Errno.ENOSYS);
        Report.Equal("an empty batch"u8, Hypercall.Invoke(HypercallNumber.Multicall, 0, 0), 0);
    }

    /// <summary>Other domains' names, where only a control domain may use them.</summary>
    internal static void Domains()
    {
        ReadOnlySpan<ushort> domains = [0, 0x7fef, DomainId.Io, DomainId.Xen, DomainId.Cow, DomainId.Invalid, DomainId.Idle, 0xffff];
        Page page = Page.Take();
        for (int i = 0; i < domains.Length; i++)
        {
            Report.True("mmuext_op"u8, Hypercall.MmuExtended(MmuExtendedCommand.ClearPage, page.Mfn, 0, domains[i]) < 0);
            Report.True("pin"u8, Hypercall.MmuExtended(MmuExtendedCommand.PinL1Table, page.Mfn, 0, domains[i]) < 0);
            Report.True("mmu_update"u8, Hypercall.MmuUpdate(page.MachineAddress(0), 0, domains[i]) < 0);
            MemoryReservation reservation = default;
            reservation.DomainId = domains[i];
            reservation.ExtentCount = 1;
            ulong extent = page.Mfn;
            reservation.ExtentStart = (ulong)(&extent);
            Report.Equal("decrease_reservation"u8, Hypercall.Memory(MemoryCommand.DecreaseReservation, &reservation), 0);
            Report.Equal("populate_physmap"u8, Hypercall.Memory(MemoryCommand.PopulatePhysmap, &reservation), 0);
            EventChannelReset reset = default;
            reset.Domain = domains[i];
            Report.True("reset of another's channels"u8, Hypercall.Event(EventChannelOp.Reset, &reset) < 0);
            EventChannelBindInterdomain bind = default;
            bind.RemoteDomain = domains[i];
            bind.RemotePort = 1;
            Report.True("binding to another's channel"u8, Hypercall.Event(EventChannelOp.BindInterdomain, &bind) < 0);
            GrantMapArgument map = default;
            map.Domain = domains[i];
            map.Reference = 1;
            map.Flags = GrantMapFlags.Host;
            map.HostAddress = page.Address;
            Report.True("mapping another's grant"u8, Hypercall.Grant(GrantTableOp.MapGrantReference, &map) != 0 || map.Status != 0);
            SchedRemoteShutdown shutdown = default;
            shutdown.DomainId = domains[i];
            Report.True("shutting another down"u8, Hypercall.Sched(SchedOp.RemoteShutdown, &shutdown) < 0);
        }
    }

    /// <summary>What only control domains may call.</summary>
    internal static void Privileged()
    {
        ulong* page = Domain.TakePage();
        ReadOnlySpan<uint> numbers =
        [
            HypercallNumber.PlatformOp, HypercallNumber.Sysctl, HypercallNumber.Domctl, HypercallNumber.KexecOp, HypercallNumber.DmOp, HypercallNumber.HypfsOp,
            HypercallNumber.MachineCheck,
        ];
        for (int i = 0; i < numbers.Length; i++)
        {
            for (ulong command = 0; command < 100; command++)
            {
                page[0] = command | 0x15UL << 32;
                Report.Equal("a control domain's call"u8, Hypercall.Invoke(numbers[i], (ulong)page, (ulong)page, (ulong)page), -Errno.EPERM);
            }
        }
    }

    /// <summary>Descriptor tables: gates, call gates and system segments of the guest's own making, and frames in use as tables.</summary>
    internal static void Descriptors()
    {
        Page table = Page.Take();
        ulong mfn = table.Mfn;
        Report.Equal("a table that is mapped writable"u8, Hypercall.Invoke(HypercallNumber.SetGdt, (ulong)(&mfn), 512), -Errno.EINVAL);
        table.Words[5] = 0x0000_e900_0008_0000 | 0x20_0000;
        table.MakeReadOnly();
        Report.Equal("a table with a ring-0 call gate"u8, Hypercall.Invoke(HypercallNumber.SetGdt, (ulong)(&mfn), 512), -Errno.EINVAL);
        table.MakeWritable();
        table.Words[5] = 0x00af_9b00_0000_ffff;
        table.MakeReadOnly();
        Report.Equal("a table with ring-0 code"u8, Hypercall.Invoke(HypercallNumber.SetGdt, (ulong)(&mfn), 512), 0);
        Report.Equal("it is the guest's code now"u8, (long)table.Words[5], 0x00af_fb00_0000_ffff);
        Report.Equal("no table"u8, Hypercall.Invoke(HypercallNumber.SetGdt, (ulong)(&mfn), 0), 0);
        table.MakeWritable();
        table.Words[5] = 0x0000_8900_0000_0067;
        table.MakeReadOnly();
        Report.Equal("a table with a task state"u8, Hypercall.Invoke(HypercallNumber.SetGdt, (ulong)(&mfn), 512), -Errno.EINVAL);
        table.MakeWritable();
        table.Words[5] = 0x00cf_f300_0000_ffff;
        table.MakeReadOnly();
        Report.Equal("a table with user data"u8, Hypercall.Invoke(HypercallNumber.SetGdt, (ulong)(&mfn), 512), 0);
        Report.Equal("it cannot be mapped writable"u8, table.MakeWritable(), -Errno.EBUSY);
        Report.Equal("nor be a page table"u8, Hypercall.MmuExtended(MmuExtendedCommand.PinL1Table, table.Mfn), -Errno.EINVAL);
        Trap.GuardedCall(Selectors.LoaderOf(0), 5 * 8 + 3, 0);
        Report.Trapped("its selector in ds"u8, Trap.None);
        Report.Equal("ring-0 code by update_descriptor"u8, Hypercall.Invoke(HypercallNumber.UpdateDescriptor, table.MachineAddress(6), 0x00af_9b00_0000_ffff), 0);
        Report.Equal("it is the guest's code, too"u8, (long)table.Words[6], 0x00af_fb00_0000_ffff);
        Report.Equal("a call gate by update_descriptor"u8, Hypercall.Invoke(HypercallNumber.UpdateDescriptor, table.MachineAddress(6), 0x0000_ec00_e008_0000), -Errno.EINVAL);
        Report.Equal("user data by update_descriptor"u8, Hypercall.Invoke(HypercallNumber.UpdateDescriptor, table.MachineAddress(6), 0x00cf_f300_0000_ffff), 0);
        Selectors.Reset();
        Report.Equal("no table"u8, Hypercall.Invoke(HypercallNumber.SetGdt, (ulong)(&mfn), 0), 0);
        Report.Equal("an LDT of its page"u8, Hypercall.MmuExtended(MmuExtendedCommand.SetLdt, table.Address, 512), 0);
        Trap.GuardedCall(Selectors.LoaderOf(0), 5 * 8 + 7, 0);
        Report.Trapped("its selector in ds"u8, Trap.None);
        Selectors.Reset();
        Report.Equal("no LDT"u8, Hypercall.MmuExtended(MmuExtendedCommand.SetLdt, 0, 0), 0);
        Report.Equal("an LDT that is not mapped"u8, Hypercall.MmuExtended(MmuExtendedCommand.SetLdt, Nowhere, 512), 0);
        Trap.GuardedCall(Selectors.LoaderOf(0), 5 * 8 + 7, 0);
        Report.Trapped("its selector in ds"u8, Trap.PageFault);
        Report.Equal("no LDT"u8, Hypercall.MmuExtended(MmuExtendedCommand.SetLdt, 0, 0), 0);
    }

    /// <summary>Frames that are given away or exchanged while they are mapped, pinned or granted.</summary>
    internal static void Reservations()
    {
        Page page = Page.Take();
        ulong extent = page.Mfn;
        ulong result = page.Pfn;
        MemoryExchange exchange = default;
        exchange.In.ExtentStart = (ulong)(&extent);
        exchange.In.ExtentCount = 1;
        exchange.In.DomainId = DomainId.Self;
        exchange.Out = exchange.In;
        exchange.Out.ExtentStart = (ulong)(&result);
        Report.Equal("exchanging a mapped frame"u8, Hypercall.Memory(MemoryCommand.Exchange, &exchange), -Errno.EINVAL);
        page.Unmap();
        exchange.ExchangedCount = 0;
        Report.Equal("exchanging one that is not"u8, Hypercall.Memory(MemoryCommand.Exchange, &exchange), 0);
        Domain.MachineOf(page.Pfn) = result;
        Report.Equal("the frame given is nobody's to pin"u8, Hypercall.MmuExtended(MmuExtendedCommand.PinL1Table, extent), -Errno.EINVAL);
        Report.Equal("the frame got, mapped"u8, page.MakeReadOnly(), 0);
        Report.True("it is empty"u8, IsEmpty(page));
        Report.Equal("pinned"u8, Hypercall.MmuExtended(MmuExtendedCommand.PinL1Table, page.Mfn), 0);
        extent = page.Mfn;
        exchange.ExchangedCount = 0;
        Report.Equal("exchanging a page table"u8, Hypercall.Memory(MemoryCommand.Exchange, &exchange), -Errno.EINVAL);
        Report.Equal("unpinned"u8, Hypercall.MmuExtended(MmuExtendedCommand.UnpinTable, page.Mfn), 0);
        Report.Equal("giving away a mapped frame"u8, Hypercall.Memory(MemoryCommand.DecreaseReservation, &exchange.In), 1);
        Report.True("it can be read as long as it is mapped"u8, page.Words[0] == 0);
        Report.Equal("it is the domain's until its last mapping goes"u8, page.MakeWritable(), 0);
        page.Unmap();
        extent = page.Pfn;
        Report.Equal("another one for it"u8, Hypercall.Memory(MemoryCommand.PopulatePhysmap, &exchange.In), 1);
        Domain.MachineOf(page.Pfn) = extent;
        Report.Equal("more than the domain may have"u8, Hypercall.Memory(MemoryCommand.IncreaseReservation, &exchange.In), 0);
    }

    private static bool IsEmpty(Page page)
    {
        ulong all = 0;
        for (int i = 0; i < PageEntry.EntriesPerTable; i++)
        {
            all |= page.Words[i];
        }

        return all == 0;
    }
}
