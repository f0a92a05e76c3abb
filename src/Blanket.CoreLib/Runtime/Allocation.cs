using System;
using System.Runtime;
using System.Runtime.CompilerServices;

namespace Internal.Runtime;

/// <summary>
/// What 'new' does: bump allocation from the region that the caller of <see cref="Enter"/> supplied.
/// Outside such a scope 'new' abandons the handler. There is no collector; a region is freed as a whole by its owner.
/// </summary>
public static unsafe class Allocation
{
    private static byte* _cursor;
    private static byte* _limit;
    private static delegate*<nuint, nuint*, nuint*, bool> _refill;

    /// <summary>Directs 'new' to [cursor, limit) and, when that is used up, to what <paramref name="refill"/> gives.</summary>
    /// <param name="cursor">First free byte, 16-byte aligned; memory up to <paramref name="limit"/> is zero.</param>
    /// <param name="limit">End of the region.</param>
    /// <param name="refill">Called with the bytes needed; fills in the start and the end of a zeroed, 16-byte aligned
    /// region of at least so many bytes, or returns false.</param>
    public static void Enter(nuint cursor, nuint limit, delegate*<nuint, nuint*, nuint*, bool> refill)
    {
        _cursor = (byte*)cursor;
        _limit = (byte*)limit;
        _refill = refill;
    }

    /// <summary>Ends the scope: 'new' abandons the handler from here on.</summary>
    /// <param name="limit">End of the region in use.</param>
    /// <returns>First byte that is still free.</returns>
    public static nuint Leave(out nuint limit)
    {
        nuint cursor = (nuint)_cursor;
        limit = (nuint)_limit;
        _cursor = null;
        _limit = null;
        _refill = null;
        return cursor;
    }

    private static byte* Take(nuint size)
    {
        size = (size + 15) & ~(nuint)15;
        if (size > (nuint)(_limit - _cursor))
        {
            if (_refill == null)
            {
                ThrowHelper.Abandon();
            }

            nuint start, end;
            if (!_refill(size, &start, &end))
            {
                ThrowHelper.Abandon();
            }

            _cursor = (byte*)start;
            _limit = (byte*)end;
        }

        byte* result = _cursor;
        _cursor += size;
        return result;
    }

    // An object's first word, before the MethodTable pointer, is the sync block that locks and hash codes would use.
    private const int SyncBlockSize = 8;

    [RuntimeExport("RhpNewFast")]
    private static void* NewObject(MethodTable* type)
    {
        byte* start = Take(type->BaseSize);
        void** instance = (void**)(start + SyncBlockSize);
        *instance = type;
        return instance;
    }

    [RuntimeExport("RhpNewArrayFast")]
    private static void* NewArray(MethodTable* type, nint length)
    {
        if ((ulong)length > int.MaxValue)
        {
            ThrowHelper.Abandon();
        }

        byte* start = Take(type->BaseSize + (nuint)length * type->ComponentSize);
        void** instance = (void**)(start + SyncBlockSize);
        *instance = type;
        *(int*)(instance + 1) = (int)length;
        return instance;
    }

    [RuntimeExport("RhpNewPtrArrayFast")]
    private static void* NewReferenceArray(MethodTable* type, nint length) => NewArray(type, length);

    [RuntimeExport("RhpNewArray")]
    private static void* NewArrayGeneral(MethodTable* type, nint length) => NewArray(type, length);

    // Stores of references need no barrier without a collector.
    [RuntimeExport("RhpAssignRef")]
    private static void AssignReference(void** destination, void* value) => *destination = value;

    [RuntimeExport("RhpCheckedAssignRef")]
    private static void CheckedAssignReference(void** destination, void* value) => *destination = value;

    // Arrays in L1 are always of the exact static type, so a store needs no check.
    [RuntimeExport("RhpStelemRef")]
    private static void StoreElement(void** array, nint index, void* value)
    {
        if ((ulong)index >= (uint)*(int*)(array + 1))
        {
            ThrowHelper.Abandon();
        }

        array[2 + index] = value;
    }

    [RuntimeExport("RhpLdelemaRef")]
    private static void* LoadElementAddress(void** array, nint index, void* elementType)
    {
        if ((ulong)index >= (uint)*(int*)(array + 1))
        {
            ThrowHelper.Abandon();
        }

        return &array[2 + index];
    }
}
