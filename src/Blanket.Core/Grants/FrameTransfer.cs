using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Grants;

/// <summary>Moves a frame with its contents from one domain to another (GNTTABOP_transfer).</summary>
internal static class FrameTransfer
{
    /// <summary>One transfer of a guest's batch. From the moment that the frame is taken the caller has lost it, whatever comes.</summary>
    /// <returns>GNTST_*.</returns>
    public static short Transfer(Domain caller, in GrantTransferArgument argument)
    {
        ulong frame = argument.Frame;
        if (!TryTake(caller, frame))
        {
            return GrantTableStatus.BadPage;
        }

        Domain? receiver = FrameOwners.Find(argument.Domain);
        bool accepted = false;
        short status = receiver?.Grants == null
            ? GrantTableStatus.BadDomain
            : Give(caller, receiver, argument.Reference, frame, out accepted);
        if (!accepted)
        {
            PhysicalMemory.ZeroFrame(frame);
            FrameAllocator.Free(frame);
        }

        return status;
    }

    /// <summary>Takes a frame from its owner, if nobody else uses it and it is not mapped.</summary>
    /// <returns>False when the frame is not the domain's or is in use; then nothing has changed.</returns>
    private static bool TryTake(Domain owner, ulong frame)
    {
        if (!FrameReference.TryGet(owner, frame))
        {
            return false;
        }

        // Exactly the owner's reference and the one just taken; with none, nobody can get one.
        const ulong expected = ReferenceCount.Allocated | 2;
        ref FrameInfo info = ref FrameTable.Of(frame);
        if (Interlocked.CompareExchange(ref info.Count, 0, expected) != expected)
        {
            FrameReference.Put(frame);
            return false;
        }

        info.State = FrameState.Hypervisor;
        info.Owner = DomainId.Invalid;
        info.Type = FrameType.None;
        MachineToPhysical.Set(frame, MachineToPhysical.Invalid);
        TlbFlush.BeforeOwnerChange(TlbClock.Now);
        owner.UncountFrames(1);
        return true;
    }

    /// <summary>Gives a taken frame to a domain through an entry of its grant table.</summary>
    /// <returns>GNTST_okay; GNTST_general_error: then the frame is still nobody's, unless <paramref name="accepted"/> (only the answer was lost).</returns>
    private static short Give(Domain giver, Domain receiver, uint reference, ulong frame, out bool accepted)
    {
        accepted = false;
        GrantTable table = receiver.Grants!;
        if (receiver.IsDying || !receiver.TryReserveFrames(1))
        {
            return GrantTableStatus.GeneralError;
        }

        int version = table.CommitTransfer(giver.Id, reference);
        if (version == 0)
        {
            receiver.UncountFrames(1);
            return GrantTableStatus.GeneralError;
        }

        accepted = true;
        FrameOwnership.Assign(receiver, frame, 0);
        if (!table.CompleteTransfer(version, reference, frame, out ulong physicalFrame))
        {
            return GrantTableStatus.GeneralError;
        }

        MachineToPhysical.Set(frame, physicalFrame);
        return GrantTableStatus.Okay;
    }
}
