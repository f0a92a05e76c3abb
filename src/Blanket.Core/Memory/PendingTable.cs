using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>
/// A page table whose type count could not be dropped in one go, remembered by the vCPU whose hypercall it was. Every memory hypercall
/// of that vCPU, and its destruction, first finishes it.
/// </summary>
internal static class PendingTable
{
    /// <summary>Finishes what is pending.</summary>
    /// <returns>0, or -ERESTART when an interrupt waits.</returns>
    internal static int Finish(Vcpu vcpu) => vcpu.PendingTableFrame == 0 ? 0 : FinishPending(vcpu);

    /// <summary>The same, with the page-table lock of the pending table's owner held.</summary>
    internal static int FinishLocked(Vcpu vcpu, Domain owner)
    {
        ulong frame = vcpu.PendingTableFrame;
        if (frame == 0)
        {
            return 0;
        }

        if (PageTableReference.Put(owner, frame, vcpu.PendingTableIsPartial, 0) != 0)
        {
            vcpu.PendingTableIsPartial = true;
            return -Errno.ERESTART;
        }

        vcpu.PendingTableFrame = 0;
        ReferenceCount.Put(frame, ref FrameTable.Of(frame));
        return 0;
    }

    /// <summary>
    /// Drops the reference and the type count of a table; what cannot be done at once becomes pending.
    /// </summary>
    /// <returns>0, or -ERESTART when it became pending.</returns>
    internal static int Drop(Vcpu actor, Domain owner, ulong frame, ulong table)
    {
        if (PageTableReference.PutFrame(owner, frame, false, table) == 0)
        {
            return 0;
        }

        Check.That(actor.PendingTableFrame == 0);
        actor.PendingTableFrame = frame;
        actor.PendingTableIsPartial = true;
        return -Errno.ERESTART;
    }

    private static int FinishPending(Vcpu vcpu)
    {
        Domain owner = FrameOwners.Of(in FrameTable.Of(vcpu.PendingTableFrame));
        owner.PageTableLock.Acquire();
        int result = FinishLocked(vcpu, owner);
        owner.PageTableLock.Release();
        return result;
    }
}
