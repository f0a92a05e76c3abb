using System;
using System.Numerics;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Building;

/// <summary>Gives a domain under construction its frames: zeroed, in blocks as large as there are.</summary>
internal static class BuilderMemory
{
    /// <summary>Allocates all pages of a domain and enters them into <paramref name="pages"/> and the machine-to-physical table.</summary>
    /// <returns>False when memory is out; the frames that the domain has by then are the domain's.</returns>
    internal static bool TryPopulate(Domain domain, in DomainLayout layout, ulong count, in DomainPages pages)
    {
        // The p2m list first: its frames are the leaves of the tree that everything else is entered into.
        int order = FrameAllocator.MaximumOrder;
        ulong behind = layout.P2MPfn + layout.P2MPages;
        return TryAddLeaves(domain, layout, pages, ref order)
            && TryFill(domain, 0, layout.P2MPfn, pages, ref order)
            && TryFill(domain, behind, count - behind, pages, ref order);
    }

    private static bool TryAddLeaves(Domain domain, in DomainLayout layout, in DomainPages pages, ref int order)
    {
        ulong index = 0;
        while (index < layout.P2MPages)
        {
            if (!TryTake(domain, layout.P2MPages - index, ref order, out ulong frame, out ulong size))
            {
                return false;
            }

            for (ulong i = 0; i < size; i++)
            {
                if (!pages.TryAddLeaf(index + i, frame + i))
                {
                    return false;
                }
            }

            index += size;
        }

        // Their own pages are entered last: the entry may be in any of them.
        for (ulong i = 0; i < layout.P2MPages; i++)
        {
            Enter(layout.P2MPfn + i, pages.LeafFrame(i), 1, pages);
        }

        return true;
    }

    private static bool TryFill(Domain domain, ulong pfn, ulong count, in DomainPages pages, ref int order)
    {
        while (count > 0)
        {
            if (!TryTake(domain, count, ref order, out ulong frame, out ulong size))
            {
                return false;
            }

            Enter(pfn, frame, size, pages);
            pfn += size;
            count -= size;
        }

        return true;
    }

    // The largest block that is there and not more than is wanted; sizes that were refused once are not tried again.
    private static bool TryTake(Domain domain, ulong wanted, ref int order, out ulong frame, out ulong size)
    {
        int fitting = Math.Min(order, BitOperations.Log2(wanted));
        while (!FrameOwnership.TryAllocate(domain, fitting, ulong.MaxValue, out frame))
        {
            if (fitting == 0)
            {
                size = 0;
                return false;
            }

            fitting--;
            order = fitting;
        }

        size = 1UL << fitting;
        return true;
    }

    private static void Enter(ulong pfn, ulong frame, ulong count, in DomainPages pages)
    {
        pages.SetRange(pfn, frame, count);
        for (ulong i = 0; i < count; i++)
        {
            MachineToPhysical.Set(frame + i, pfn + i);
        }
    }
}
