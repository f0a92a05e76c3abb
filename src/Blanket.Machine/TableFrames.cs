using System.Threading;

namespace Blanket.Machine;

/// <summary>
/// Counts the frames of slabs, frame arrays and arenas of table entries. Those of the machine (xenstore, service channels, places for guests) keep
/// what they once needed, so the frames in use are to be compared without them.
/// </summary>
public static class TableFrames
{
    private static int s_count;

    /// <summary>Frames that all of them take together.</summary>
    public static uint Count => (uint)Volatile.Read(ref s_count);

    /// <summary>A table has grown by a frame.</summary>
    public static void Add() => Change(1);

    /// <summary>A table has given frames back.</summary>
    public static void Remove(int frames) => Change(-frames);

    /// <summary>Tables have grown by frames, or given back as many when the number is negative.</summary>
    public static void Change(int difference)
    {
        int count;
        do
        {
            count = Volatile.Read(ref s_count);
        }
        while (Interlocked.CompareExchange(ref s_count, count + difference, count) != count);
    }
}
