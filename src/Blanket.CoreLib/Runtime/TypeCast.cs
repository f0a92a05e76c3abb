using Internal.Runtime;

namespace System.Runtime;

/// <summary>What the compiler calls by name for stores into arrays of references. Arrays in L1 are always of their exact static type, so no type is checked.</summary>
internal static unsafe class TypeCast
{
    private static void StelemRef(object?[] array, nint index, object? value) => Element(array, index) = value;

    private static ref object? LdelemaRef(object?[] array, nint index, MethodTable* elementType) => ref Element(array, index);

    private static ref object? Element(object?[] array, nint index)
    {
        if ((nuint)index >= (uint)array.Length)
        {
            ThrowHelper.Abandon();
        }

        return ref CompilerServices.Unsafe.Add(ref InteropServices.MemoryMarshal.GetArrayDataReference(array), index);
    }
}
