using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Machine;

namespace Blanket.Core.Grants;

/// <summary>The reading and writing flags that tell the guest that a grant is in use. Under the entries lock.</summary>
public sealed partial class GrantTable
{
    // A guest may rightly change an entry while it is being acquired, but not all the time.
    private const int StatusAttempts = 5;

    /// <summary>Sets the flags for a use, if the entry allows it.</summary>
    /// <returns>GNTST_okay or GNTST_general_error.</returns>
    private short SetStatus(uint reference, ushort grantee, GrantUse use, bool isInUse) =>
        _version == 1 ? SetStatusV1(reference, grantee, use, isInUse) : SetStatusV2(reference, grantee, use, isInUse);

    private short SetStatusV1(uint reference, ushort grantee, GrantUse use, bool isInUse)
    {
        ref uint header = ref PhysicalMemory.At<uint>(EntryAddress(reference));
        uint current = Volatile.Read(ref header);
        for (int attempt = 0; attempt < StatusAttempts; attempt++)
        {
            if (!Allows(current, grantee, use, isInUse))
            {
                return GrantTableStatus.GeneralError;
            }

            uint wanted = current | GrantTableFlags.Reading | (use.IsReadOnly ? 0u : GrantTableFlags.Writing);
            uint seen = Interlocked.CompareExchange(ref header, wanted, current);
            if (seen == current)
            {
                return GrantTableStatus.Okay;
            }

            current = seen;
        }

        return GrantTableStatus.GeneralError;
    }

    private short SetStatusV2(uint reference, ushort grantee, GrantUse use, bool isInUse)
    {
        ref uint header = ref PhysicalMemory.At<uint>(EntryAddress(reference));
        if (!Allows(Volatile.Read(ref header), grantee, use, isInUse))
        {
            return GrantTableStatus.GeneralError;
        }

        // The guest revokes by clearing the flags of the entry and then looking at the status: so the status goes first, then the entry is read again.
        ushort flags = use.IsReadOnly ? GrantTableFlags.Reading : (ushort)(GrantTableFlags.Reading | GrantTableFlags.Writing);
        ref uint word = ref StatusWord(reference, out int shift);
        AtomicBits.Set(ref word, (uint)flags << shift);
        if (Allows(Volatile.Read(ref header), grantee, use, isInUse))
        {
            return GrantTableStatus.Okay;
        }

        ClearStatus(reference, isInUse ? GrantTableFlags.Writing : (ushort)(GrantTableFlags.Reading | GrantTableFlags.Writing));
        return GrantTableStatus.GeneralError;
    }

    // Type and grantee of an entry that is in use were checked when its first use began.
    private bool Allows(uint header, ushort grantee, GrantUse use, bool isInUse)
    {
        uint flags = header & ushort.MaxValue;
        if (!use.IsReadOnly && (flags & GrantTableFlags.ReadOnly) != 0)
        {
            return false;
        }

        if (isInUse)
        {
            return true;
        }

        uint type = flags & GrantTableFlags.TypeMask;
        bool isTransitive = _version == 2 && type == GrantTableFlags.Transitive;
        return (type == GrantTableFlags.PermitAccess || (isTransitive && !use.IsMapping))
            && !(use.IsMapping && (flags & GrantTableFlags.SubPage) != 0)
            && header >> 16 == grantee;
    }

    /// <summary>Takes back the flags that the uses that are left do not need.</summary>
    private void ReduceStatus(uint reference, ulong pins, bool wasReadOnly)
    {
        ushort flags = pins == 0 ? GrantTableFlags.Reading : (ushort)0;
        if (!wasReadOnly && (pins & GrantUse.Writers) == 0)
        {
            flags |= GrantTableFlags.Writing;
        }

        // A change of version may have left an entry without a place.
        if (flags != 0 && reference < EntryCount)
        {
            ClearStatus(reference, flags);
        }
    }

    private void ClearStatus(uint reference, ushort flags)
    {
        if (_version == 1)
        {
            AtomicBits.Clear(ref PhysicalMemory.At<uint>(EntryAddress(reference)), flags);
        }
        else
        {
            ref uint word = ref StatusWord(reference, out int shift);
            AtomicBits.Clear(ref word, (uint)flags << shift);
        }
    }

    /// <summary>The aligned 32-bit word that holds the status flags of an entry, and where in it they are.</summary>
    private ref uint StatusWord(uint reference, out int shift)
    {
        ulong address = StatusAddress(reference);
        shift = (int)(address & 2) * 8;
        return ref PhysicalMemory.At<uint>(address & ~3UL);
    }
}
