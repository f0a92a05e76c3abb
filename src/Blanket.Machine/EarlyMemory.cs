#if METAL
using System.Runtime;
using System.Runtime.CompilerServices;
using Internal.Runtime;
#endif

namespace Blanket.Machine;

/// <summary>
/// A small region of the image for the objects that must exist before there is a frame allocator: the storage of static
/// fields, the log. Host tests need none of it.
/// </summary>
public static unsafe class EarlyMemory
{
#if METAL
    private static nuint s_cursor;
    private static bool s_hasStatics;

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "early_memory_address")]
    private static extern byte* Region();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "early_memory_end_address")]
    private static extern byte* RegionEnd();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "modules_start_address")]
    private static extern void** ModulesStart();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "modules_end_address")]
    private static extern void** ModulesEnd();

    /// <summary>Directs 'new' to the region; the first call also gives static fields of reference type their storage.</summary>
    /// <returns>False when the compiler's module data is not what CoreLib was written for.</returns>
    public static bool Enter()
    {
        if (s_cursor == 0)
        {
            s_cursor = (nuint)Region();
        }

        Allocation.Enter(s_cursor, (nuint)RegionEnd(), null);
        s_hasStatics = s_hasStatics || Statics.Initialize(ModulesStart(), ModulesEnd());
        return s_hasStatics;
    }

    /// <summary>Ends what <see cref="Enter"/> began.</summary>
    public static void Leave() => s_cursor = Allocation.Leave(out _);
#else
    /// <summary>Nothing to do: the collector owns all objects.</summary>
    public static bool Enter() => true;

    /// <summary>Nothing to do.</summary>
    public static void Leave()
    {
    }
#endif
}
