using System;
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

    /// <summary>
    /// Begins uses in the common case, as many from the first on as are in it; <see cref="Acquire"/> decides about the next one.
    /// </summary>
    /// <returns>How many were begun.</returns>
    internal int AcquirePages(ushort grantee, GrantUse use, Span<PinnedSegment> segments)
    {
        if (_domain.IsDying)
        {
            return 0;
        }

        int begun = 0;
        bool isRefused = false;
        _entries.Acquire();
        uint entries = EntriesOfPages;
        while (begun < segments.Length)
        {
            ref PinnedSegment segment = ref segments[begun];
            if (segment.Reference >= entries || !TryUsePage(grantee, segment.Reference, use, out segment.Frame))
            {
                break;
            }

            if (!use.IsReadOnly && !WritableType.TryGetAtOnce(ref FrameTable.Of(segment.Frame)))
            {
                isRefused = true;
                break;
            }

            begun++;
        }

        _entries.Release();
        if (isRefused)
        {
            FrameReference.Put(segments[begun].Frame);
            ReleaseUse(segments[begun].Reference, use);
        }

        return begun;
    }

    /// <summary>
    /// Ends uses in the common case, after their references and type counts, as many from the first on as are in it; for the next one <see cref="ReleaseUse"/> does.
    /// </summary>
    /// <returns>How many were ended.</returns>
    internal int ReleasePages(GrantUse use, ReadOnlySpan<PinnedSegment> segments)
    {
        int ended = 0;
        _entries.Acquire();
        uint entries = EntriesOfPages;
        while (ended < segments.Length && segments[ended].Reference < entries && IsOnlyUseOfPage(segments[ended].Reference, use))
        {
            EndPage(segments[ended].Reference, use);
            ended++;
        }

        _entries.Release();
        return ended;
    }

    private bool TryBeginPage(ushort grantee, uint reference, GrantUse use, out ulong frame)
    {
        frame = 0;
        _entries.Acquire();
        bool begins = reference < EntriesOfPages && TryUsePage(grantee, reference, use, out frame);
        _entries.Release();
        return begins;
    }

    /// <summary>Entries that can be in the common case: those of version 1.</summary>
    private uint EntriesOfPages => _version == 1 ? (uint)_sharedFrameCount * EntriesPerFrameV1 : 0;

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
        bool ends = reference < EntriesOfPages && IsOnlyUseOfPage(reference, use);
        if (ends)
        {
            EndPage(reference, use);
        }

        _entries.Release();
        return ends;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool IsOnlyUseOfPage(uint reference, GrantUse use)
    {
        ref ActiveGrant active = ref _active[reference];
        return active.Pins == use.Increment && active.FrameOwner == _domain.Id && active.IsPartial == 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void EndPage(uint reference, GrantUse use)
    {
        // The counters of a released entry say which flags it had: this use's.
        uint inUse = use.IsReadOnly ? GrantTableFlags.Reading : (uint)GrantTableFlags.Reading | GrantTableFlags.Writing;
        _active[reference] = default;
        _entriesInUse--;
        AtomicBits.Clear(ref PhysicalMemory.At<uint>(EntryAddress(reference)), inUse);
    }
}
