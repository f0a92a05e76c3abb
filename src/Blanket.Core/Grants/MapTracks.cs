using System.Runtime.InteropServices;
using Blanket.Core.Storage;
using Blanket.Machine;

namespace Blanket.Core.Grants;

/// <summary>One mapping of another domain's grant; 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MapTrack
{
    /// <summary>Set in <see cref="Flags"/> while the mapping is being undone.</summary>
    public const ushort Unmapping = 0x8000;

    /// <summary>The grant; while the entry is free, the handle of the next free one plus 1.</summary>
    public uint Reference;

    /// <summary>GNTMAP_* as far as needed to unmap; 0 when not in use.</summary>
    public ushort Flags;

    /// <summary>The domain that granted.</summary>
    public ushort Granter;
    private readonly ulong _padding;
}

/// <summary>A domain's mappings of other domains' grants by handle, the index of the entry.</summary>
internal sealed class MapTracks
{
    private readonly FrameArray<MapTrack> _tracks;
    private readonly uint _maximum;
    private SpinLock _lock = new(LockClass.GrantMapTracks);
    private uint _free;
    private int _used;

    /// <summary>Room for so many frames of entries.</summary>
    public MapTracks(uint maximumFrames)
    {
        _maximum = maximumFrames * FrameArray<MapTrack>.PerFrame;
        _tracks = new FrameArray<MapTrack>(_maximum);
    }

    /// <summary>Handles below this have been released by teardown.</summary>
    public uint ReleaseProgress;

    /// <summary>Mappings.</summary>
    public int Used => _used;

    /// <summary>Frames that it occupies.</summary>
    public int Frames => _tracks.Frames;

    /// <summary>Handles that there may be.</summary>
    public uint Count => _tracks.Count;

    /// <summary>Reserves a handle; false when there are too many mappings.</summary>
    public bool TryReserve(out uint handle)
    {
        _lock.Acquire();
        if (_free == 0 && _tracks.TryGrow())
        {
            for (uint index = _tracks.Count; index-- > _tracks.Count - FrameArray<MapTrack>.PerFrame;)
            {
                _tracks[index].Reference = _free;
                _free = index + 1;
            }
        }

        bool found = _free != 0;
        handle = found ? _free - 1 : 0;
        if (found)
        {
            _free = _tracks[handle].Reference;
            _used++;
        }

        _lock.Release();
        return found;
    }

    /// <summary>Records a mapping under a reserved handle.</summary>
    public void Set(uint handle, ushort granter, uint reference, uint flags)
    {
        _lock.Acquire();
        ref MapTrack track = ref _tracks[handle];
        track.Granter = granter;
        track.Reference = reference;
        track.Flags = (ushort)flags;
        _lock.Release();
    }

    /// <summary>Gives a handle back.</summary>
    public void Free(uint handle)
    {
        _lock.Acquire();
        ref MapTrack track = ref _tracks[handle];
        track = default;
        track.Reference = _free;
        _free = handle + 1;
        _used--;
        _lock.Release();
    }

    /// <summary>Claims a mapping to undo it; false when there is none, or somebody else is undoing it.</summary>
    public bool TryClaim(uint handle, out MapTrack mapping)
    {
        mapping = default;
        if (handle >= _tracks.Count)
        {
            return false;
        }

        _lock.Acquire();
        ref MapTrack track = ref _tracks[handle];
        mapping = track;
        bool claimed = track.Flags != 0 && (track.Flags & MapTrack.Unmapping) == 0;
        if (claimed)
        {
            track.Flags |= MapTrack.Unmapping;
        }

        _lock.Release();
        return claimed;
    }

    /// <summary>Returns a claimed mapping with what is left of it.</summary>
    public void Unclaim(uint handle, ushort flags)
    {
        _lock.Acquire();
        _tracks[handle].Flags = flags;
        _lock.Release();
    }

    /// <summary>The mapping of a handle below <see cref="Count"/>, when nobody maps or unmaps any more.</summary>
    public MapTrack Read(uint handle) => _tracks[handle];

    /// <summary>Returns all frames.</summary>
    public void Clear()
    {
        _tracks.Clear();
        _free = 0;
        _used = 0;
    }
}
