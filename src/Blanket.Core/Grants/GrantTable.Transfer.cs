using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Machine;

namespace Blanket.Core.Grants;

/// <summary>Entries that accept a frame (GTF_accept_transfer).</summary>
public sealed partial class GrantTable
{
    /// <summary>Commits an entry to accept a frame from a domain.</summary>
    /// <param name="giver">The domain that gives.</param>
    /// <param name="reference">The entry.</param>
    /// <returns>The version of the entry, for <see cref="CompleteTransfer"/>; 0 when it does not accept.</returns>
    internal int CommitTransfer(ushort giver, uint reference)
    {
        _entries.Acquire();
        int version = reference < EntryCount && TryCommit(giver, reference) ? _version : 0;
        _entries.Release();
        return version;
    }

    /// <summary>Tells the guest the frame that has come.</summary>
    /// <param name="version">What <see cref="CommitTransfer"/> returned.</param>
    /// <param name="reference">The entry.</param>
    /// <param name="frame">The frame, which is the guest's now.</param>
    /// <param name="previous">What the guest had stored as frame: the number that it wants the frame to have in its memory.</param>
    /// <returns>False when the guest changed the version meanwhile: it then has a frame that it knows nothing of.</returns>
    internal bool CompleteTransfer(int version, uint reference, ulong frame, out ulong previous)
    {
        previous = 0;
        _entries.Acquire();
        bool completed = _version == version;
        if (completed)
        {
            ulong address = EntryAddress(reference);
            if (version == 1)
            {
                previous = PhysicalMemory.Read<uint>(address + GrantTableEntry.FrameOffsetV1);
                PhysicalMemory.Write(address + GrantTableEntry.FrameOffsetV1, (uint)frame);
            }
            else
            {
                previous = PhysicalMemory.Read<ulong>(address + GrantTableEntry.FrameOffsetV2);
                PhysicalMemory.Write(address + GrantTableEntry.FrameOffsetV2, frame);
            }

            AtomicBits.Set(ref PhysicalMemory.At<uint>(address), GrantTableFlags.TransferCompleted);
        }

        _entries.Release();
        return completed;
    }

    private bool TryCommit(ushort giver, uint reference)
    {
        ref uint header = ref PhysicalMemory.At<uint>(EntryAddress(reference));
        uint current = Volatile.Read(ref header);
        for (int attempt = 0; attempt < StatusAttempts; attempt++)
        {
            if (current != (GrantTableFlags.AcceptTransfer | ((uint)giver << 16)))
            {
                return false;
            }

            uint seen = Interlocked.CompareExchange(ref header, current | GrantTableFlags.TransferCommitted, current);
            if (seen == current)
            {
                return true;
            }

            current = seen;
        }

        return false;
    }
}
