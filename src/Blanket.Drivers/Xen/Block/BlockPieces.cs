using System;
using Blanket.Machine;

namespace Blanket.Drivers.Xen.Block;

/// <summary>A part of one page that a request transfers, granted to the backend while the request is in flight.</summary>
internal struct BlockPiece
{
    /// <summary>Number of the page frame.</summary>
    public ulong Frame;

    /// <summary>First and last sector of 512 bytes within the page, both transferred.</summary>
    public byte First;
    public byte Last;

    /// <summary>Sectors of 512 bytes.</summary>
    public readonly uint Sectors => (uint)(Last - First) + 1;

    /// <summary>The piece as memory.</summary>
    public readonly DmaSegment Segment => new((Frame << Cpu.PageShift) + (ulong)First * BlockPieceReader.SectorSize, Sectors * BlockPieceReader.SectorSize);
}

/// <summary>
/// Cuts segments of memory into pieces of pages. blkif knows sectors of 512 bytes only, so addresses and lengths are multiples of that
/// (<see cref="BlockDevice.TrySubmit"/>).
/// </summary>
internal ref struct BlockPieceReader(ReadOnlySpan<DmaSegment> segments)
{
    /// <summary>Bytes of a sector of the wire protocol, whatever the disk's block size.</summary>
    public const uint SectorSize = 512;

    private readonly ReadOnlySpan<DmaSegment> _segments = segments;
    private int _index;
    private uint _offset;

    /// <summary>Whether every segment can be said in sectors; the rest works only then.</summary>
    public static bool IsAligned(ReadOnlySpan<DmaSegment> segments)
    {
        ulong bits = 0;
        for (int i = 0; i < segments.Length; i++)
        {
            bits |= segments[i].Address | segments[i].Length;
        }

        return (bits & (SectorSize - 1)) == 0;
    }

    /// <summary>The next piece, of so many sectors at most.</summary>
    /// <returns>False at the end.</returns>
    public bool TryTake(ulong maximumSectors, out BlockPiece piece)
    {
        piece = default;
        if (_index == _segments.Length || maximumSectors == 0)
        {
            return false;
        }

        ulong address = _segments[_index].Address + _offset;
        uint within = (uint)address & (Cpu.PageSize - 1);
        uint left = _segments[_index].Length - _offset;
        uint length = Math.Min(left, Cpu.PageSize - within);
        length = (uint)Math.Min(length, Math.Min(maximumSectors, Cpu.PageSize) * SectorSize);
        piece.Frame = address >> Cpu.PageShift;
        piece.First = (byte)(within / SectorSize);
        piece.Last = (byte)((within + length) / SectorSize - 1);
        _offset += length;
        if (length == left)
        {
            _index++;
            _offset = 0;
        }

        return true;
    }

    /// <summary>Sectors that the next part of the request takes: as many as so many pieces hold, in whole blocks.</summary>
    /// <param name="maximumPieces">At least the sectors of a block.</param>
    /// <param name="blockSectors">Sectors of a logical block, a power of two.</param>
    /// <param name="pieces">Pieces that it takes.</param>
    /// <returns>0 at the end.</returns>
    public readonly ulong MeasurePart(int maximumPieces, uint blockSectors, out int pieces)
    {
        BlockPieceReader ahead = this;
        ulong sectors = 0;
        int alignedPieces = 0;
        pieces = 0;
        while (pieces < maximumPieces && ahead.TryTake(ulong.MaxValue, out BlockPiece piece))
        {
            uint before = (uint)sectors & (blockSectors - 1);
            sectors += piece.Sectors;
            pieces++;
            if (before + piece.Sectors >= blockSectors)
            {
                // A block ends in this piece or with it.
                alignedPieces = pieces;
            }
        }

        pieces = alignedPieces;
        return sectors & ~(ulong)(blockSectors - 1);
    }
}
