using System.Runtime.CompilerServices;
using Internal.Runtime;

namespace System;

public unsafe class Object
{
    // The compiler's object layout: the first word is the type's MethodTable.
    internal MethodTable* m_pMethodTable;

    public Object() { }

    // The three slots that every MethodTable starts with.
    public virtual bool Equals(object? other) => this == other;

    public virtual int GetHashCode() => 0;

    public virtual string? ToString() => null;

    ~Object() { }
}

public sealed class String
{
    // The compiler's layout of string literals.
    private readonly int _stringLength;
    private char _firstChar;

    public int Length
    {
        [Intrinsic]
        get => _stringLength;
    }

    [IndexerName("Chars")]
    public char this[int index]
    {
        [Intrinsic]
        get
        {
            if ((uint)index >= (uint)_stringLength)
            {
                ThrowHelper.Abandon();
            }

            return Unsafe.Add(ref _firstChar, index);
        }
    }
}

public abstract class Array : Collections.IEnumerable
{
    internal int _numComponents;

    Collections.IEnumerator Collections.IEnumerable.GetEnumerator() => null!;

    public int Length
    {
        [Intrinsic]
        get => _numComponents;
    }
}

/// <summary>What the compiler derives the type of every T[] from.</summary>
internal class Array<T> : Array;

public class Attribute { }

[AttributeUsage(AttributeTargets.Class)]
public sealed class AttributeUsageAttribute(AttributeTargets validOn) : Attribute
{
    public AttributeTargets ValidOn { get; } = validOn;

    public bool AllowMultiple { get; set; }

    public bool Inherited { get; set; }
}

[Flags]
public enum AttributeTargets
{
    Assembly = 1, Module = 2, Class = 4, Struct = 8, Enum = 16, Constructor = 32, Method = 64, Property = 128,
    Field = 256, Event = 512, Interface = 1024, Parameter = 2048, Delegate = 4096, ReturnValue = 8192, GenericParameter = 16384, All = 32767,
}

public sealed class FlagsAttribute : Attribute;

public sealed class ParamArrayAttribute : Attribute;

public sealed class ObsoleteAttribute(string message) : Attribute
{
    public string Message { get; } = message;
}
