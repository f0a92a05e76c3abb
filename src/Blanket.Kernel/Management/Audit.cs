using Blanket.Abi;
using Blanket.Core.Events;
using Blanket.Kernel.Guests;
using Blanket.Kernel.Platform;
using Blanket.Kernel.Services;
using Blanket.Machine;
using Blanket.Store;

namespace Blanket.Kernel.Management;

/// <summary>
/// Counts of everything that a guest can leave behind. Before the first guest and after the last they are the same, or something leaked; only
/// tables that grow and never shrink may have more frames (docs/hacking.md, "Boot tests").
/// </summary>
internal static class Audit
{
    /// <summary>Takes the counts, on the CPU whose work guests are.</summary>
    internal static void Take(out ManagementAudit audit)
    {
        audit = new ManagementAudit
        {
            Frames = FrameAllocator.TotalFrames,
            FreeFrames = FrameAllocator.FreeFrames,
            ClaimedFrames = FrameAllocator.ClaimedFrames,
            TableFrames = TableFrames.Count,
            ArenaFrames = Memory.BootArena.Frames,
            ServiceChannels = (ulong)(uint)ServiceChannels.OpenChannels,
        };
        foreach (Guest? guest in GuestManager.Places)
        {
            if (guest == null)
            {
                continue;
            }

            audit.ArenaFrames += guest.Arena.Frames;
            audit.Devices += (ulong)(uint)guest.Devices.Count;
            if (guest.Domain != null)
            {
                audit.Guests++;
                audit.GuestFrames += guest.Domain.FrameCount;
                audit.EventChannels += (ulong)(uint)(guest.Domain.Events?.ActivePorts ?? 0);
                audit.Grants += (ulong)(uint)(guest.Domain.Grants?.EntriesInUse ?? 0);
            }
        }

        StoreService.Acquire();
        StoreUsage store = StoreService.Store.Usage;
        StoreService.Release();
        audit.StoreNodes = (ulong)(uint)store.Nodes;
        audit.StoreWatches = (ulong)(uint)store.Watches;
        audit.StoreConnections = (ulong)(uint)store.Connections;
        audit.StoreTransactions = (ulong)(uint)store.Transactions;
    }

    /// <summary>Takes the counts and logs them as the event <c>audit</c>.</summary>
    internal static void Report()
    {
        Take(out ManagementAudit audit);
        Report(in audit);
    }

    /// <summary>Logs counts as the event <c>audit</c>.</summary>
    internal static void Report(in ManagementAudit audit) =>
        Log.Line("event audit frames="u8).Decimal(audit.Frames).Text(" free="u8).Decimal(audit.FreeFrames)
            .Text(" claimed="u8).Decimal(audit.ClaimedFrames).Text(" tables="u8).Decimal(audit.TableFrames).Text(" arenas="u8).Decimal(audit.ArenaFrames)
            .Text(" guests="u8).Decimal(audit.Guests).Text(" guest_frames="u8).Decimal(audit.GuestFrames)
            .Text(" devices="u8).Decimal(audit.Devices).Text(" channels="u8).Decimal(audit.EventChannels)
            .Text(" service_channels="u8).Decimal(audit.ServiceChannels).Text(" grants="u8).Decimal(audit.Grants)
            .Text(" nodes="u8).Decimal(audit.StoreNodes).Text(" watches="u8).Decimal(audit.StoreWatches)
            .Text(" connections="u8).Decimal(audit.StoreConnections).Text(" transactions="u8).Decimal(audit.StoreTransactions).End();
}
