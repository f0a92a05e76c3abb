namespace Blanket.Abi.Xen.Io;

/// <summary>The head of every shared ring: DEFINE_RING_TYPES of io/ring.h. Indexes run freely and wrap at 2^32.</summary>
public static class SharedRingLayout
{
    /// <summary>Offset of <c>req_prod</c>, written by the frontend.</summary>
    public const int RequestProducer = 0;

    /// <summary>Offset of <c>req_event</c>, written by the backend: it wants a notification when req_prod passes it.</summary>
    public const int RequestEvent = 4;

    /// <summary>Offset of <c>rsp_prod</c>, written by the backend.</summary>
    public const int ResponseProducer = 8;

    /// <summary>Offset of <c>rsp_event</c>, written by the frontend: it wants a notification when rsp_prod passes it.</summary>
    public const int ResponseEvent = 12;

    /// <summary>Offset of <c>ring</c>, the entries.</summary>
    public const int Entries = 64;

    /// <summary>Entries of a ring (__RING_SIZE): the largest power of two that fits.</summary>
    /// <param name="bytes">Size of the shared area.</param>
    /// <param name="entrySize">Size of the larger of request and response.</param>
    public static int EntryCount(int bytes, int entrySize)
    {
        int count = 1;
        while (count * 2 <= (bytes - Entries) / entrySize)
        {
            count *= 2;
        }

        return count;
    }
}
