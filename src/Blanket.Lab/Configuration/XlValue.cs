using System.Collections.Generic;

namespace Blanket.Lab.Configuration;

/// <summary>A value in xl.cfg(5) syntax with the line that it starts on.</summary>
public abstract record XlValue(SourceLine Source)
{
    /// <summary>What a message calls this kind of value.</summary>
    public abstract string Kind { get; }
}

/// <summary>A quoted string; <paramref name="Text"/> is without quotes and escapes.</summary>
public sealed record XlString(SourceLine Source, string Text) : XlValue(Source)
{
    /// <inheritdoc/>
    public override string Kind => "a string";
}

/// <summary>A number as written: decimal, octal with a leading 0, or hexadecimal with a leading 0x.</summary>
public sealed record XlNumber(SourceLine Source, string Text) : XlValue(Source)
{
    /// <inheritdoc/>
    public override string Kind => "a number";
}

/// <summary>A list of values.</summary>
public sealed record XlList(SourceLine Source, IReadOnlyList<XlValue> Items) : XlValue(Source)
{
    /// <inheritdoc/>
    public override string Kind => "a list";
}
