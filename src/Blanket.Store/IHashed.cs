namespace Blanket.Store;

/// <summary>A record that a <see cref="HashIndex{T}"/> can chain. A constraint only, never a run-time type.</summary>
internal interface IHashed
{
    /// <summary>What the record is found by; well mixed, because guests choose what it is made of.</summary>
    public ulong HashKey { get; }

    /// <summary>Next record of the same bucket, or <see cref="Link.None"/>; owned by the index.</summary>
    public int HashNext { get; set; }

    /// <summary>Previous record of the same bucket, or <see cref="Link.None"/>; owned by the index.</summary>
    public int HashPrevious { get; set; }
}
