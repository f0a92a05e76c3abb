using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Core.Storage;
using Blanket.Machine;

namespace Blanket.Core.Grants;

/// <summary>
/// The grant table of one domain (xen/include/public/grant_table.h): the frames that it shares with the guest, what is in use of
/// it, and the guest's mappings of other domains' grants. Its size and version change under the control lock; entries
/// are used under the entries lock, a leaf that services take with their own locks held.
/// </summary>
public sealed partial class GrantTable
{
    /// <summary>Frames of a table unless the domain's configuration says otherwise (max_grant_frames of xl.cfg(5)).</summary>
    public const int DefaultMaximumFrames = 64;

    /// <summary>Frames for the tracking of mappings unless the configuration says otherwise (max_maptrack_frames of xl.cfg(5)).</summary>
    public const int DefaultMaximumMapTrackFrames = 1024;

    private const uint EntriesPerFrameV1 = Cpu.PageSize / GrantTableEntry.SizeV1;
    private const uint EntriesPerFrameV2 = Cpu.PageSize / GrantTableEntry.SizeV2;
    private const uint StatusesPerFrame = Cpu.PageSize / GrantTableEntry.StatusSize;

    private readonly Domain _domain;
    private readonly int _maximumVersion;
    private readonly uint[] _sharedFrames;
    private readonly uint[] _statusFrames;
    private readonly FrameArray<ActiveGrant> _active;
    private SpinLock _control = new(LockClass.GrantTable);
    private SpinLock _entries = new(LockClass.GrantEntries);
    private int _version = 1;
    private int _sharedFrameCount;
    private int _statusFrameCount;
    private int _entriesInUse;
    private int _partialEntriesInUse;

    internal GrantTable(Domain domain, int maximumFrames, int maximumMapTrackFrames, int maximumVersion)
    {
        Check.That(maximumFrames > 0 && maximumMapTrackFrames >= 0 && maximumVersion is 1 or 2);
        _domain = domain;
        _maximumVersion = maximumVersion;
        _sharedFrames = new uint[maximumFrames];
        _statusFrames = new uint[StatusFramesFor(maximumFrames)];
        _active = new FrameArray<ActiveGrant>((uint)maximumFrames * EntriesPerFrameV1);
        MapTracks = new MapTracks((uint)maximumMapTrackFrames);
    }

    /// <summary>The guest's mappings of other domains' grants.</summary>
    internal MapTracks MapTracks { get; }

    /// <summary>1 or 2.</summary>
    public int Version => Volatile.Read(ref _version);

    /// <summary>Frames of entries.</summary>
    public int FrameCount => Volatile.Read(ref _sharedFrameCount);

    /// <summary>The most frames of entries.</summary>
    public int MaximumFrames => _sharedFrames.Length;

    /// <summary>Frames of status flags that version 2 has.</summary>
    public int StatusFrameCount => Version == 2 ? StatusFramesFor(FrameCount) : 0;

    /// <summary>Grants of this domain that are in use by others. The domain's memory must not be freed until it is 0.</summary>
    public int EntriesInUse => Volatile.Read(ref _entriesInUse);

    /// <summary>Entries that there are room for.</summary>
    public uint EntryCount => (uint)FrameCount * (Version == 1 ? EntriesPerFrameV1 : EntriesPerFrameV2);

    /// <summary>Frames of the hypervisor that it occupies, beside those shared with the guest.</summary>
    public int PrivateFrames => _active.Frames + MapTracks.Frames;

    /// <summary>A shared frame, by index below <see cref="FrameCount"/>.</summary>
    public ulong SharedFrame(int index) => _sharedFrames[index];

    /// <summary>A frame of status flags, by index below <see cref="StatusFrameCount"/>.</summary>
    public ulong StatusFrame(int index) => _statusFrames[index];

    /// <summary>Makes room for at least so many frames of entries.</summary>
    /// <param name="frames">At most <see cref="MaximumFrames"/>.</param>
    /// <returns>False when there is no memory; the table is as before then.</returns>
    public bool TryGrow(int frames)
    {
        _control.Acquire();
        bool grown = TryGrowLocked(frames);
        _control.Release();
        return grown;
    }

    /// <summary>Presets one of the reserved entries, as a toolstack does for console and xenstore; before the guest runs.</summary>
    /// <param name="reference">Below <see cref="GrantTableEntry.Reserved"/>.</param>
    /// <param name="grantee">The domain that may use the frame.</param>
    /// <param name="frame">A frame of this domain.</param>
    public void Preset(uint reference, ushort grantee, ulong frame)
    {
        Check.That(reference < GrantTableEntry.Reserved && Version == 1 && frame <= uint.MaxValue);
        ulong entry = EntryAddress(reference);
        PhysicalMemory.Write(entry + GrantTableEntry.FrameOffsetV1, (uint)frame);
        PhysicalMemory.Write(entry, GrantTableFlags.PermitAccess | ((uint)grantee << 16));
    }

    /// <summary>Last step of teardown: gives back all frames. Only with <see cref="EntriesInUse"/> 0 and the guest's own mappings released.</summary>
    public void Release()
    {
        Check.That(_entriesInUse == 0);
        for (int i = 0; i < _sharedFrameCount; i++)
        {
            _ = SharedFrames.Withdraw(_sharedFrames[i], _domain);
        }

        for (int i = 0; i < _statusFrameCount; i++)
        {
            _ = SharedFrames.Withdraw(_statusFrames[i], _domain);
        }

        _sharedFrameCount = 0;
        _statusFrameCount = 0;
        _active.Clear();
        MapTracks.Clear();
    }

    private static int StatusFramesFor(int frames) =>
        (frames * (int)EntriesPerFrameV2 + (int)StatusesPerFrame - 1) / (int)StatusesPerFrame;

    private bool TryGrowLocked(int frames)
    {
        Check.That(frames <= _sharedFrames.Length);
        while (_sharedFrameCount < frames)
        {
            // Everything that belongs to a frame is there before the count says so; what a failure leaves is used next time.
            uint entries = (uint)(_sharedFrameCount + 1) * EntriesPerFrameV1;
            while (_active.Count < entries)
            {
                if (!_active.TryGrow())
                {
                    return false;
                }
            }

            if (_version == 2 && !TryAddStatusFrames(_sharedFrameCount + 1))
            {
                return false;
            }

            if (!FrameAllocator.TryAllocateZeroed(out ulong frame))
            {
                return false;
            }

            SharedFrames.Share(frame, _domain, readOnly: false);
            _sharedFrames[_sharedFrameCount] = (uint)frame;
            Volatile.Write(ref _sharedFrameCount, _sharedFrameCount + 1);
        }

        return true;
    }

    // Frames of status flags are kept once they exist, also while the version is 1: a guest may have them mapped.
    private bool TryAddStatusFrames(int sharedFrames)
    {
        while (_statusFrameCount < StatusFramesFor(sharedFrames))
        {
            if (!FrameAllocator.TryAllocateZeroed(out ulong frame))
            {
                return false;
            }

            SharedFrames.Share(frame, _domain, readOnly: false);
            _statusFrames[_statusFrameCount++] = (uint)frame;
        }

        return true;
    }

    /// <summary>Physical address of an entry, which exists.</summary>
    private ulong EntryAddress(uint reference) => _version == 1
        ? ((ulong)_sharedFrames[reference / EntriesPerFrameV1] << Cpu.PageShift) + reference % EntriesPerFrameV1 * GrantTableEntry.SizeV1
        : ((ulong)_sharedFrames[reference / EntriesPerFrameV2] << Cpu.PageShift) + reference % EntriesPerFrameV2 * GrantTableEntry.SizeV2;

    /// <summary>Physical address of the status flags of a version 2 entry, which exists.</summary>
    private ulong StatusAddress(uint reference) =>
        ((ulong)_statusFrames[reference / StatusesPerFrame] << Cpu.PageShift) + reference % StatusesPerFrame * GrantTableEntry.StatusSize;
}
