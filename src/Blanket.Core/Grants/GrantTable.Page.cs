using System.Runtime.CompilerServices;
using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Grants;

/// <summary>
/// The common case of acquiring and releasing, without its detours: version 1, one use at a time, a page of this domain. It has the
/// effects of <see cref="Acquire"/> and <see cref="Release"/>, which take over wherever something is out of the ordinary.
/// </summary>
public sealed partial class GrantTable
{
    /// <summary>Begins the only use of a grant of version 1.</summary>
    /// <returns>False when this is not the common case: nothing has happened, and <see cref="Acquire"/> decides.</returns>
    private bool TryAcquirePage(ushort grantee, uint reference, GrantUse use, out AcquiredGrant grant)
    {
        grant = default;
        if (!TryBeginPage(grantee, reference, use, out ulong frame))
        {
            return false;
        }

        if (!use.IsReadOnly && !WritableType.TryGet(ref FrameTable.Of(frame)))
        {
            FrameReference.Put(frame);
            ReleaseUse(reference, use);
            return false;
        }

        grant.Frame = frame;
        grant.Length = Cpu.PageSize;
        return true;
    }

    private bool TryBeginPage(ushort grantee, uint reference, GrantUse use, out ulong frame)
    {
        frame = 0;
        _entries.Acquire();
        bool begins = _version == 1 && reference < (uint)_sharedFrameCount * EntriesPerFrameV1 && TryUsePage(grantee, reference, use, out frame);
        _entries.Release();
        return begins;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool TryUsePage(ushort grantee, uint reference, GrantUse use, out ulong frame)
    {
        frame = 0;
        ref ActiveGrant active = ref _active[reference];
        ulong entry = EntryAddress(reference);
        ref uint header = ref PhysicalMemory.At<uint>(entry);
        uint current = Volatile.Read(ref header);
        uint refused = GrantTableFlags.TypeMask | (use.IsReadOnly ? 0u : GrantTableFlags.ReadOnly);
        if (active.Pins != 0 || (current & refused) != GrantTableFlags.PermitAccess || current >> 16 != grantee)
        {
            return false;
        }

        uint inUse = use.IsReadOnly ? GrantTableFlags.Reading : (uint)GrantTableFlags.Reading | GrantTableFlags.Writing;
        if (Interlocked.CompareExchange(ref header, current | inUse, current) != current)
        {
            return false;
        }

        ulong target = PhysicalMemory.Read<uint>(entry + GrantTableEntry.FrameOffsetV1);
        if (!FrameReference.TryGet(_domain, target))
        {
            AtomicBits.Clear(ref header, inUse);
            return false;
        }

        active.Frame = target;
        active.Pins = use.Increment;
        active.Grantee = grantee;
        active.Length = Cpu.PageSize;
        active.FrameOwner = _domain.Id;
        active.OwnerReference = reference;
        _entriesInUse++;
        frame = target;
        return true;
    }

    /// <summary>Ends the only use of a page of this domain, after its reference and type count. False when this is not the common case.</summary>
    private bool TryReleasePage(uint reference, GrantUse use)
    {
        _entries.Acquire();
        ref ActiveGrant active = ref _active[reference];
        bool ends = _version == 1 && active.Pins == use.Increment && active.FrameOwner == _domain.Id && active.IsPartial == 0
            && reference < (uint)_sharedFrameCount * EntriesPerFrameV1;
        if (ends)
        {
            // The counters of a released entry say which flags it had: this use's.
            uint inUse = use.IsReadOnly ? GrantTableFlags.Reading : (uint)GrantTableFlags.Reading | GrantTableFlags.Writing;
            active = default;
            _entriesInUse--;
            AtomicBits.Clear(ref PhysicalMemory.At<uint>(EntryAddress(reference)), inUse);
        }

        _entries.Release();
        return ends;
    }
}
