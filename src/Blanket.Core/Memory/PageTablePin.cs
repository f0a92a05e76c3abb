using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// Pins: a type count (and a reference) that the guest holds on one of its tables, so that it stays validated while no other table
/// refers to it.
/// </summary>
internal static class PageTablePin
{
    /// <summary>MMUEXT_PIN_Ln_TABLE; the page-table lock of <paramref name="owner"/> is held.</summary>
    /// <returns>0; -EINVAL when it is pinned already or cannot be such a table; -ERESTART to go on later.</returns>
    internal static int Pin(Vcpu actor, Domain owner, ulong frame, int level)
    {
        int result = PageTableReference.GetFrame(owner, frame, level, actor, hasReference: false, keepsReference: false);
        if (result != 0)
        {
            return result;
        }

        if (TrySetPinned(ref FrameTable.Of(frame)))
        {
            return 0;
        }

        _ = PendingTable.Drop(actor, owner, frame, 0);
        return -Errno.EINVAL;
    }

    /// <summary>MMUEXT_UNPIN_TABLE; the page-table lock of <paramref name="owner"/> is held.</summary>
    /// <returns>0, though the table may have become pending; -EINVAL when it is not pinned.</returns>
    internal static int Unpin(Vcpu actor, Domain owner, ulong frame)
    {
        if (!FrameTable.IsValid(frame))
        {
            return -Errno.EINVAL;
        }

        ref FrameInfo info = ref FrameTable.Of(frame);
        ulong type = Volatile.Read(ref info.Type);
        if (info.State != FrameState.Domain || info.Owner != owner.Id || (type & FrameType.Pinned) == 0)
        {
            return -Errno.EINVAL;
        }

        Volatile.Write(ref info.Type, type & ~FrameType.Pinned);
        _ = PendingTable.Drop(actor, owner, frame, 0);
        return 0;
    }

    /// <summary>Marks a validated table, under its owner's page-table lock, as pinned; false when it is.</summary>
    internal static bool TrySetPinned(ref FrameInfo info)
    {
        ulong type = Volatile.Read(ref info.Type);
        if ((type & FrameType.Pinned) != 0)
        {
            return false;
        }

        Volatile.Write(ref info.Type, type | FrameType.Pinned);
        return true;
    }
}
