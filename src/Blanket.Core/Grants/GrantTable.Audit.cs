using Blanket.Abi.Xen;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Grants;

/// <summary>The grant table's part of <see cref="MemoryAudit"/>, while nothing else runs: then no copy and no transitive use is under way.</summary>
public sealed partial class GrantTable
{
    /// <summary>Takes off (-1) or puts back (1) the references of services: one for each of their uses.</summary>
    internal void ShareOfServices(int sign)
    {
        for (uint reference = 0; reference < _active.Count; reference++)
        {
            ref ActiveGrant active = ref _active[reference];
            if (active.Pins != 0 && active.Grantee == DomainId.Services)
            {
                int writers = GrantUse.HostWriters(active.Pins);
                MemoryAudit.Adjust(active.Frame, sign * (writers + GrantUse.HostReaders(active.Pins)), sign * writers);
            }
        }
    }

    /// <summary>
    /// Takes off or puts back what this domain's mappings hold: the use in the granter's table, and the reference of a mapping for a device.
    /// Page-table entries own theirs.
    /// </summary>
    internal void ShareOfMappings(int sign)
    {
        for (uint handle = 0; handle < MapTracks.Count; handle++)
        {
            MapTrack mapping = MapTracks.Read(handle);
            uint kinds = mapping.Flags & (GrantMapFlags.Device | GrantMapFlags.Host);
            GrantTable? table = kinds == 0 ? null : FrameOwners.Find(mapping.Granter)?.Grants;
            if (table == null)
            {
                continue;
            }

            ref ActiveGrant active = ref table._active[mapping.Reference];
            active.Pins = unchecked(active.Pins + (ulong)sign * GrantUse.Mapping(mapping.Flags).Increment);
            if ((kinds & GrantMapFlags.Device) != 0)
            {
                MemoryAudit.Adjust(active.Frame, sign, (mapping.Flags & GrantMapFlags.ReadOnly) == 0 ? sign : 0);
            }
        }
    }

    /// <summary>Logs uses by guests that no mapping explains.</summary>
    /// <returns>How many entries have such.</returns>
    internal int ReportUnexplainedUses(int maximumReports)
    {
        int differences = 0;
        for (uint reference = 0; reference < _active.Count; reference++)
        {
            ref ActiveGrant active = ref _active[reference];
            if (active.Pins != 0 && active.Grantee != DomainId.Services && differences++ < maximumReports)
            {
                Log.Line("audit: grant "u8).Decimal(reference).Text(" of domain "u8).Decimal(_domain.Id).Text(" to domain "u8)
                    .Decimal(active.Grantee).Text(", unexplained uses "u8).Hex(active.Pins).End();
            }
        }

        return differences;
    }
}
