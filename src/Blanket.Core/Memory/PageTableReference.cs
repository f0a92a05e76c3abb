using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// Type counts of page-table frames. The first one validates the table with everything below it, the last one undoes that;
/// both stop half-way when an interrupt waits. All under the page-table lock of the frames' owner: between two holders of the
/// lock every table is either unused, validated, or partial (<see cref="FrameType.Partial"/>).
/// </summary>
internal static class PageTableReference
{
    /// <summary>
    /// Takes a type count on a frame on which the caller has a reference.
    /// </summary>
    /// <param name="owner">Owner of the frame; its page-table lock is held.</param>
    /// <param name="frame">The frame.</param>
    /// <param name="level">Level of the table, 1 to 4.</param>
    /// <param name="actor">
    /// The vCPU on whose behalf this happens. When validation fails half-way, the frame becomes its pending table, which then
    /// holds the caller's reference.
    /// </param>
    /// <returns>0; -EINVAL and others when the frame cannot be such a table; -ERESTART when it should be tried again to go on.</returns>
    internal static int Get(Domain owner, ulong frame, int level, Vcpu actor)
    {
        ref FrameInfo info = ref FrameTable.Of(frame);
        ulong wanted = FrameType.OfLevel(level);
        while (true)
        {
            ulong type = Volatile.Read(ref info.Type);
            ulong count = type & FrameType.CountMask;
            if (count == 0)
            {
                // Another domain or a backend may be taking the frame as writable at the same time.
                if (Interlocked.CompareExchange(ref info.Type, wanted | 1, type) != type)
                {
                    continue;
                }

                ulong former = type & FrameType.Mask;
                if (former != wanted && former != FrameType.None)
                {
                    TlbFlush.BeforeTypeChange(owner, ref info);
                }

                TableProgress.Set(ref info, 0, false);
                info.PartialFlags = 0;
                return Validate(owner, frame, ref info, level, actor);
            }

            if ((type & FrameType.Mask) != wanted || count == FrameType.CountMask)
            {
                return -Errno.EINVAL;
            }

            if ((type & FrameType.Validated) != 0)
            {
                Volatile.Write(ref info.Type, type + 1);
                return 0;
            }

            if ((type & FrameType.Partial) == 0)
            {
                // Being validated further up this very stack, or left so by an abandoned handler.
                return -Errno.EINVAL;
            }

            // Goes on where it was suspended; the partial flag's reference is dropped afterwards.
            Volatile.Write(ref info.Type, type & ~FrameType.Partial);
            int result = Validate(owner, frame, ref info, level, actor);
            ReferenceCount.Put(frame, ref info);
            return result;
        }
    }

    /// <summary>Takes a reference and a type count on a frame that an entry refers to.</summary>
    /// <param name="owner">Owner that the frame must have; its page-table lock is held.</param>
    /// <param name="frame">The frame.</param>
    /// <param name="level">Level of the table, 1 to 4.</param>
    /// <param name="actor">The vCPU on whose behalf this happens.</param>
    /// <param name="hasReference">The entry already holds the reference (and keeps it, whatever the result).</param>
    /// <param name="keepsReference">On -ERESTART the reference stays with the entry.</param>
    internal static int GetFrame(Domain owner, ulong frame, int level, Vcpu actor, bool hasReference, bool keepsReference)
    {
        if (!FrameTable.IsValid(frame))
        {
            return -Errno.EINVAL;
        }

        ref FrameInfo info = ref FrameTable.Of(frame);
        if (!hasReference && !ReferenceCount.TryGet(frame, ref info, owner.Id))
        {
            return -Errno.EINVAL;
        }

        int result = Get(owner, frame, level, actor);
        bool kept = result == 0 || hasReference || actor.PendingTableFrame == frame
            || (keepsReference && result == -Errno.ERESTART);
        if (!kept)
        {
            ReferenceCount.Put(frame, ref info);
        }

        return result;
    }

    /// <summary>Drops a type count of a page-table frame.</summary>
    /// <param name="owner">Owner of the frame; its page-table lock is held.</param>
    /// <param name="frame">The frame, on which the caller has a reference.</param>
    /// <param name="onlyIfPartial">There is no count to drop, only suspended work to finish, if nobody else has.</param>
    /// <param name="table">The table whose entry held the count; 0 for a pin or a root.</param>
    /// <returns>0, or -ERESTART when work was suspended: then the partial flag holds the count.</returns>
    internal static int Put(Domain owner, ulong frame, bool onlyIfPartial, ulong table)
    {
        ref FrameInfo info = ref FrameTable.Of(frame);
        ulong type = Volatile.Read(ref info.Type);
        if (onlyIfPartial)
        {
            if ((type & FrameType.Partial) == 0)
            {
                return 0;
            }

            Check.That((type & FrameType.CountMask) == 1);
        }
        else
        {
            // Teardown may have undone a table under its counts.
            bool whole = (type & (FrameType.Validated | FrameType.Partial)) == FrameType.Validated;
            Check.That((type & FrameType.CountMask) != 0 && (whole || owner.IsDying));
        }

        if ((type & FrameType.CountMask) == 1 && (type & (FrameType.Validated | FrameType.Partial)) != 0)
        {
            return PutLast(owner, frame, ref info, type, table);
        }

        bool linear = IsLinear(type, table);
        if ((type & FrameType.CountMask) == 1 && !linear)
        {
            TlbClock.Stamp(ref info);
        }

        Volatile.Write(ref info.Type, type - 1);
        if (linear)
        {
            LinearPageTable.Uncount(ref FrameTable.Of(table), ref info);
        }

        return 0;
    }

    /// <summary>Drops the reference and the type count that an entry, pin or root held.</summary>
    internal static int PutFrame(Domain owner, ulong frame, bool onlyIfPartial, ulong table)
    {
        int result = Put(owner, frame, onlyIfPartial, table);
        if (result == 0)
        {
            ReferenceCount.Put(frame, ref FrameTable.Of(frame));
        }

        return result;
    }

    private static bool IsLinear(ulong type, ulong table) =>
        table != 0 && (FrameTable.Of(table).Type & FrameType.Mask) == (type & FrameType.Mask);

    private static int PutLast(Domain owner, ulong frame, ref FrameInfo info, ulong type, ulong table)
    {
        ulong bare = type & ~(FrameType.Validated | FrameType.Partial);
        Volatile.Write(ref info.Type, bare);
        bool wasPartial = (type & FrameType.Partial) != 0;
        if (!wasPartial)
        {
            TableProgress.Set(ref info, PageTableEntry.Count, false);
        }

        int result = PageTableRelease.Run(owner, frame, ref info, FrameType.Level(type));
        if (!wasPartial && IsLinear(type, table))
        {
            LinearPageTable.Uncount(ref FrameTable.Of(table), ref info);
        }

        if (result == 0)
        {
            TlbClock.Stamp(ref info);
            Volatile.Write(ref info.Type, bare - 1);
        }
        else
        {
            ReferenceCount.GetHeld(ref info);
            Volatile.Write(ref info.Type, bare | FrameType.Partial);
        }

        if (wasPartial)
        {
            ReferenceCount.Put(frame, ref info);
        }

        return result;
    }

    private static int Validate(Domain owner, ulong frame, ref FrameInfo info, int level, Vcpu actor)
    {
        int result = PageTableValidation.Run(owner, frame, ref info, level, actor);
        ulong type = FrameType.OfLevel(level) | 1;
        if (result == 0)
        {
            Volatile.Write(ref info.Type, type | FrameType.Validated);
        }
        else if (result == -Errno.ERESTART || actor.PendingTableFrame == frame)
        {
            ReferenceCount.GetHeld(ref info);
            Volatile.Write(ref info.Type, type | FrameType.Partial);
        }
        else
        {
            // The type stays, with count 0: what it was before may still matter to TLBs.
            TlbClock.Stamp(ref info);
            Volatile.Write(ref info.Type, type - 1);
        }

        return result;
    }
}
