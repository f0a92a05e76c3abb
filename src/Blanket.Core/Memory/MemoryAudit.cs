using System;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// Recounts all references and type counts from who holds them: page tables, pins, roots, descriptor tables, owners, grants, pages of
/// event channels and vCPUs; and the uses of grants from the mappings. For debugging and tests, while nothing else runs. It needs no
/// memory: it takes every holder's share off the records, looks whether anything is left, and puts it back.
/// </summary>
public static class MemoryAudit
{
    private const int MaximumReports = 16;

    /// <summary>Audits, with references from elsewhere in the hypervisor that the caller knows of.</summary>
    /// <param name="references">Frames by references held (<see cref="FrameReference.TryGet"/>), one entry a reference.</param>
    /// <param name="writableReferences">Frames by writable references held, one entry a reference.</param>
    /// <returns>How many differences there are; the first few are logged.</returns>
    public static int Run(ReadOnlySpan<ulong> references, ReadOnlySpan<ulong> writableReferences)
    {
        Share(-1, references, writableReferences);
        int differences = CompareFrames() + CompareGrants();
        Share(1, references, writableReferences);
        return differences + CompareDomains() + CheckContents();
    }

    /// <summary>
    /// Drops the references and type counts of a dead domain's frames that nobody holds: those of handlers that were abandoned. Nothing else may
    /// run, and the domain's memory and grants have been torn down.
    /// </summary>
    /// <returns>How many frames had such.</returns>
    public static int Reconcile(Domain domain)
    {
        Check.That(domain.IsDying);
        Share(-1, default, default);
        int frames = 0;
        for (ulong frame = 0; frame < FrameTable.Limit; frame++)
        {
            ref FrameInfo info = ref FrameTable.Of(frame);
            if (info.State == FrameState.Domain && info.Owner == domain.Id && ((info.Count & ReferenceCount.Mask) | (info.Type & FrameType.CountMask)) != 0)
            {
                info.Count &= ~ReferenceCount.Mask;
                info.Type &= ~FrameType.CountMask;
                frames++;
            }
        }

        Share(1, default, default);
        for (ulong frame = 0; frame < FrameTable.Limit; frame++)
        {
            ref FrameInfo info = ref FrameTable.Of(frame);
            if (info.State == FrameState.Domain && info.Owner == domain.Id && (info.Count & ReferenceCount.Mask) == 0)
            {
                FrameOwnership.Release(frame, ref info);
            }
        }

        FrameQuarantine.Drain();
        return frames;
    }

    /// <summary>Takes off (-1) or puts back (1) the share of every holder.</summary>
    private static void Share(int sign, ReadOnlySpan<ulong> references, ReadOnlySpan<ulong> writableReferences)
    {
        // Linear entries are told by the types of both tables, so types are never changed here, counts only.
        for (ulong frame = 0; frame < FrameTable.Limit; frame++)
        {
            ref FrameInfo info = ref FrameTable.Of(frame);
            if (info.State == FrameState.Domain)
            {
                ShareOfFrame(frame, ref info, sign);
            }
        }

        for (Domain? domain = FrameOwners.FindFrom(0); domain != null; domain = FrameOwners.FindFrom(domain.Id + 1))
        {
            foreach (Vcpu? vcpu in domain.Vcpus)
            {
                if (vcpu != null)
                {
                    ShareOfVcpu(vcpu, sign);
                }
            }

            Adjust(domain.StoreRingFrame, sign, sign);
            domain.Events?.ShareOfPages(sign);

            // Uses by services are told by the counters that mappings are taken off of.
            domain.Grants?.ShareOfServices(sign);
            domain.Grants?.ShareOfMappings(sign);
        }

        foreach (ulong frame in references)
        {
            Adjust(frame, sign, 0);
        }

        foreach (ulong frame in writableReferences)
        {
            Adjust(frame, sign, sign);
        }
    }

    private static void ShareOfFrame(ulong frame, ref FrameInfo info, int sign)
    {
        int owned = (info.Count & ReferenceCount.Allocated) != 0 ? sign : 0;
        int pinned = (info.Type & FrameType.Pinned) != 0 ? sign : 0;
        int partial = (info.Type & FrameType.Partial) != 0 ? sign : 0;
        int shared = (info.Count & ReferenceCount.Shared) != 0 ? sign : 0;
        Adjust(frame, owned + pinned + partial, pinned + partial + shared);
        if (FrameType.IsTable(info.Type) && (info.Type & (FrameType.Validated | FrameType.Partial)) != 0)
        {
            ShareOfTable(frame, ref info, sign);
        }
    }

    private static void ShareOfTable(ulong table, ref FrameInfo info, int sign)
    {
        int level = FrameType.Level(info.Type);
        bool whole = (info.Type & FrameType.Validated) != 0;
        int held = whole ? PageTableEntry.Count : TableProgress.Entries(ref info);
        bool nextHoldsReference = !whole && TableProgress.NextHoldsReference(ref info);
        Span<ulong> entries = PhysicalMemory.FrameAs<ulong>(table);
        for (int i = 0; i < held; i++)
        {
            ulong entry = entries[i];
            if (level == 1)
            {
                if ((entry & PageTableEntry.Present) != 0)
                {
                    Adjust(PageTableEntry.Frame(entry), sign, (entry & PageTableEntry.Writable) != 0 ? sign : 0);
                }
            }
            else if (UpperEntry.HoldsReference(entry, table) && !(level == 4 && HypervisorSlots.Contains(i)))
            {
                ulong target = PageTableEntry.Frame(entry);
                ref FrameInfo to = ref FrameTable.Of(target);
                Adjust(target, sign, sign);
                if ((to.Type & FrameType.Mask) == (info.Type & FrameType.Mask))
                {
                    AdjustLinear(ref info, sign);
                    AdjustLinear(ref to, -sign);
                }
            }
        }

        if (nextHoldsReference)
        {
            Adjust(PageTableEntry.Frame(entries[held]), sign, 0);
        }
    }

    private static void ShareOfVcpu(Vcpu vcpu, int sign)
    {
        Adjust(vcpu.KernelRoot, sign, sign);
        Adjust(vcpu.UserRoot, sign, sign);
        Adjust(vcpu.PendingTableFrame, sign, vcpu.PendingTableIsPartial ? 0 : sign);
        Adjust(vcpu.Info.RegisteredFrame, sign, sign);
        foreach (ulong frame in vcpu.GdtFrames)
        {
            Adjust(frame, sign, sign);
        }

        foreach (ulong frame in vcpu.LdtFrames)
        {
            Adjust(frame, sign, sign);
        }
    }

    /// <summary>Takes references and type counts off a frame's record (negative numbers), or puts them back; nothing for frame 0.</summary>
    internal static void Adjust(ulong frame, int references, int types)
    {
        if (frame == 0)
        {
            return;
        }

        ref FrameInfo info = ref FrameTable.Of(frame);
        info.Count = Moved(info.Count, ReferenceCount.Mask, references);
        info.Type = Moved(info.Type, FrameType.CountMask, types);
    }

    private static ulong Moved(ulong word, ulong mask, int by) => (word & ~mask) | (unchecked(word + (ulong)(long)by) & mask);

    private static void AdjustLinear(ref FrameInfo info, int by) =>
        info.PartialFlags = unchecked((ushort)(info.PartialFlags + by));

    private static int CompareFrames()
    {
        int differences = 0;
        for (ulong frame = 0; frame < FrameTable.Limit; frame++)
        {
            ref FrameInfo info = ref FrameTable.Of(frame);
            bool isOwned = info.State == FrameState.Domain;
            ulong count = info.Count & ReferenceCount.Mask;
            ulong types = info.Type & FrameType.CountMask;
            bool usesLinearCount = FrameType.IsTable(info.Type)
                && (info.Type & (FrameType.Validated | FrameType.Partial)) != 0;
            int linear = usesLinearCount ? LinearPageTable.Entries(ref info) : 0;
            if (isOwned && (count | types) == 0 && linear == 0)
            {
                continue;
            }

            if (!isOwned && (info.State == FrameState.Free || (info.Count | info.Type) == 0))
            {
                continue;
            }

            Report(differences++, frame, ref info);
        }

        return differences;
    }

    private static void Report(int number, ulong frame, ref FrameInfo info)
    {
        if (number < MaximumReports)
        {
            Log.Line("audit: frame "u8).Hex(frame).Text(" of domain "u8).Decimal(info.Owner)
                .Text(", unexplained count "u8).Hex(info.Count).Text(" type "u8).Hex(info.Type)
                .Text(" linear "u8).Hex(info.PartialFlags).End();
        }
    }

    private static int CompareGrants()
    {
        int differences = 0;
        for (Domain? domain = FrameOwners.FindFrom(0); domain != null; domain = FrameOwners.FindFrom(domain.Id + 1))
        {
            differences += domain.Grants == null ? 0 : domain.Grants.ReportUnexplainedUses(MaximumReports);
        }

        return differences;
    }

    private static int CompareDomains()
    {
        int differences = 0;
        for (Domain? domain = FrameOwners.FindFrom(0); domain != null; domain = FrameOwners.FindFrom(domain.Id + 1))
        {
            ulong own = 0;
            ulong shared = 0;
            for (ulong frame = 0; frame < FrameTable.Limit; frame++)
            {
                ref FrameInfo info = ref FrameTable.Of(frame);
                if (info.State == FrameState.Domain && info.Owner == domain.Id)
                {
                    bool isShared = (info.Count & ReferenceCount.Shared) != 0;
                    shared += isShared ? 1UL : 0;
                    own += isShared ? 0 : 1UL;
                }
            }

            if (own != domain.FrameCount || shared != domain.SharedFrameCount)
            {
                differences++;
                Log.Line("audit: domain "u8).Decimal(domain.Id).Text(" owns "u8).Decimal(own).Text("+"u8).Decimal(shared)
                    .Text(" frames, counted "u8).Decimal(domain.FrameCount).Text("+"u8).Decimal(domain.SharedFrameCount).End();
            }
        }

        return differences;
    }

    /// <summary>Checks what validated tables contain: forbidden bits, the hypervisor's slots, targets of the right type.</summary>
    private static int CheckContents()
    {
        int differences = 0;
        for (ulong frame = 0; frame < FrameTable.Limit; frame++)
        {
            ref FrameInfo info = ref FrameTable.Of(frame);
            if (info.State == FrameState.Domain && FrameType.IsTable(info.Type)
                && (info.Type & FrameType.Validated) != 0 && !HasAllowedEntries(frame, ref info))
            {
                Log.Line("audit: bad entry in table "u8).Hex(frame).Text(" type "u8).Hex(info.Type).End();
                differences++;
            }
        }

        return differences;
    }

    private static bool HasAllowedEntries(ulong table, ref FrameInfo info)
    {
        int level = FrameType.Level(info.Type);
        Span<ulong> entries = PhysicalMemory.FrameAs<ulong>(table);
        for (int i = 0; i < entries.Length; i++)
        {
            ulong entry = entries[i];
            if (level == 4 && HypervisorSlots.Contains(i))
            {
                if (!HypervisorSlots.IsRight(i, entry))
                {
                    return false;
                }
            }
            else if ((entry & PageTableEntry.Present) != 0 && !IsAllowed(table, ref info, level, entry))
            {
                return false;
            }
        }

        return true;
    }

    private static bool IsAllowed(ulong table, ref FrameInfo info, int level, ulong entry)
    {
        ulong refused = level == 1 ? PageTableEntry.L1Refused : PageTableEntry.UpperRefused;
        if ((entry & refused) != 0 || !FrameTable.IsValid(PageTableEntry.Frame(entry)))
        {
            return false;
        }

        ref FrameInfo target = ref FrameTable.Of(PageTableEntry.Frame(entry));
        if (target.State != FrameState.Domain)
        {
            return false;
        }

        ulong type = target.Type & (FrameType.Mask | FrameType.Validated);
        if (level == 1)
        {
            return (entry & PageTableEntry.Writable) == 0 || type == (FrameType.Writable | FrameType.Validated);
        }

        // Teardown undoes a table under its counts (DomainTeardown), so only its type is left.
        bool isDying = FrameOwners.Of(in info).IsDying;
        bool isBelow = Is(type, level - 1, isDying);
        bool isLinear = Is(type, level, isDying) && (entry & PageTableEntry.Writable) == 0;
        return target.Owner == info.Owner && (isBelow || isLinear);

        static bool Is(ulong type, int level, bool mayBeUndone) =>
            (type | (mayBeUndone ? FrameType.Validated : 0)) == (FrameType.OfLevel(level) | FrameType.Validated);
    }
}
