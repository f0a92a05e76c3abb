using System;
using Blanket.Core.Grants;
using Blanket.Machine;

namespace Blanket.Backends;

/// <summary>
/// The segments of the requests in flight of a ring, in frames of the hypervisor that come when a slot is used for the first time and stay
/// until <see cref="Clear"/>. Only the ring's worker touches it.
/// </summary>
internal sealed class BlockSegments
{
    private const int SegmentsPerSlot = BlockLimits.MaximumIndirectSegments;
    private const int SlotsPerFrame = Cpu.PageSize / 16 / SegmentsPerSlot;

    // 0 for one that is not there yet: frame 0 is never the allocator's.
    private readonly ulong[] _frames;

    /// <summary>No segments.</summary>
    /// <param name="slots">Requests in flight at most.</param>
    internal BlockSegments(int slots) => _frames = new ulong[slots / SlotsPerFrame];

    /// <summary>Room for the segments of a request. False when memory is out.</summary>
    internal bool TryGet(int slot, out Span<PinnedSegment> segments)
    {
        ref ulong frame = ref _frames[slot / SlotsPerFrame];
        if (frame == 0)
        {
            if (!FrameAllocator.TryAllocateZeroed(out ulong allocated))
            {
                segments = default;
                return false;
            }

            TableFrames.Add();
            frame = allocated;
        }

        segments = Of(slot);
        return true;
    }

    /// <summary>The segments of a request that has room for some.</summary>
    internal Span<PinnedSegment> Of(int slot)
    {
        ulong frame = _frames[slot / SlotsPerFrame];
        Check.That(frame != 0);
        return PhysicalMemory.FrameAs<PinnedSegment>(frame).Slice(slot % SlotsPerFrame * SegmentsPerSlot, SegmentsPerSlot);
    }

    /// <summary>Gives all frames back; no request is in flight.</summary>
    internal void Clear()
    {
        for (int i = 0; i < _frames.Length; i++)
        {
            if (_frames[i] != 0)
            {
                PhysicalMemory.ZeroFrame(_frames[i]);
                FrameAllocator.Free(_frames[i]);
                TableFrames.Remove(1);
                _frames[i] = 0;
            }
        }
    }
}
