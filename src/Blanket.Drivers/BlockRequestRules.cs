using System;

namespace Blanket.Drivers;

/// <summary>What a request has to be for a disk, whatever its transport; others end before a device sees them.</summary>
internal static class BlockRequestRules
{
    private const int SectorShift = 9;

    /// <summary>Checks a request against a disk.</summary>
    /// <returns>Success, or how the request ends.</returns>
    public static BlockStatus Examine(in BlockGeometry geometry, in BlockRequest request, ReadOnlySpan<DmaSegment> segments)
    {
        bool isChange = request.Operation != BlockOperation.Read && request.Operation != BlockOperation.Flush;
        if (isChange && geometry.IsReadOnly)
        {
            return BlockStatus.Error;
        }

        switch (request.Operation)
        {
            case BlockOperation.Read:
            case BlockOperation.Write:
                return ExamineData(in geometry, request.Sector, segments);
            case BlockOperation.Flush:
                return !geometry.HasFlush ? BlockStatus.Unsupported : ExamineNone(segments);
            case BlockOperation.Discard:
                return !geometry.HasDiscard ? BlockStatus.Unsupported
                    : ExamineRange(in geometry, in request, geometry.MaximumDiscardSectors, segments);
            case BlockOperation.WriteZeroes:
                return !geometry.HasWriteZeroes ? BlockStatus.Unsupported
                    : ExamineRange(in geometry, in request, geometry.MaximumWriteZeroesSectors, segments);
            default:
                return BlockStatus.Unsupported;
        }
    }

    private static BlockStatus ExamineData(in BlockGeometry geometry, ulong sector, ReadOnlySpan<DmaSegment> segments)
    {
        ulong bytes = 0;
        if (segments.Length == 0 || (uint)segments.Length > geometry.MaximumSegments)
        {
            return BlockStatus.Error;
        }

        for (int i = 0; i < segments.Length; i++)
        {
            uint length = segments[i].Length;
            if (length == 0 || length > geometry.MaximumSegmentSize)
            {
                return BlockStatus.Error;
            }

            bytes += length;
        }

        return (bytes & (geometry.LogicalBlockSize - 1)) != 0 ? BlockStatus.Error : ExamineEnd(in geometry, sector, bytes >> SectorShift);
    }

    private static BlockStatus ExamineRange(
        in BlockGeometry geometry, in BlockRequest request, uint maximum, ReadOnlySpan<DmaSegment> segments) =>
        request.SectorCount == 0 || request.SectorCount > maximum || segments.Length != 0
            ? BlockStatus.Error
            : ExamineEnd(in geometry, request.Sector, request.SectorCount);

    private static BlockStatus ExamineEnd(in BlockGeometry geometry, ulong sector, ulong count)
    {
        ulong blockSectors = geometry.LogicalBlockSize >> SectorShift;
        ulong capacity = geometry.Sectors;
        return sector <= capacity && count <= capacity - sector && ((sector | count) & (blockSectors - 1)) == 0
            ? BlockStatus.Success
            : BlockStatus.Error;
    }

    private static BlockStatus ExamineNone(ReadOnlySpan<DmaSegment> segments) =>
        segments.Length == 0 ? BlockStatus.Success : BlockStatus.Error;
}
