using System.Threading;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Memory;

/// <summary>L1 tables in use.</summary>
internal static class L1Table
{
    /// <summary>Whether the frame of a number that may be no frame's is one (<see cref="IsValidated"/>).</summary>
    internal static bool Is(Domain domain, ulong frame) => FrameTable.IsValid(frame) && IsValidated(domain, ref FrameTable.Of(frame));

    /// <summary>
    /// Whether a frame is a validated L1 table of a domain. With the domain's page-table lock held it stays one, so it needs no reference.
    /// </summary>
    internal static bool IsValidated(Domain domain, ref FrameInfo info)
    {
        ulong type = Volatile.Read(ref info.Type);
        return (type & (FrameType.Mask | FrameType.Validated)) == (FrameType.L1Table | FrameType.Validated)
            && (type & FrameType.CountMask) != 0
            && info.Owner == domain.Id
            && info.State == FrameState.Domain;
    }
}
